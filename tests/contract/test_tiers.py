"""The contract of `waybill.labelling.tier.Tier`, held by every tier.

A subject makes its tier anew for each case, decides texts by what is in them (``slow`` waits until
`Subject.release`, ``fail`` cannot be decided) and is closed at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import cast

import numpy as np
import pytest

from tests.labelling.llm.conftest import PROMPT
from tests.patience import PATIENCE_SECS, patience
from tests.taxonomies import TEN, UNCLASSIFIED
from waybill.core.deadlines import Deadlines
from waybill.core.errors import TierUnavailable
from waybill.core.names import SLOW_TIERS
from waybill.core.records import Verdict
from waybill.labelling.llm.breaker import Breaker
from waybill.labelling.llm.errors import ProviderError
from waybill.labelling.llm.guards import Guards
from waybill.labelling.llm.ledger import Ledger
from waybill.labelling.llm.prompt import Question, load_prompt
from waybill.labelling.llm.providers.base import Form, Reply
from waybill.labelling.llm.store_sqlite import SqliteStore
from waybill.labelling.llm.tier import LlmTier
from waybill.labelling.llm.window import LocalWindow
from waybill.labelling.model.answer import AnswerPolicy, Prediction
from waybill.labelling.model.batcher import Batcher
from waybill.labelling.model.bundle import Bundle
from waybill.labelling.model.encoders.base import Floats
from waybill.labelling.model.tier import ModelTier
from waybill.labelling.telemetry import Recording
from waybill.labelling.tier import Answer, Scope, Tier
from waybill.settings.schema import LlmSettings, ModelSettings

ANY = Scope()
LABEL_OF = {"disk": "Error", "user": "User Action", "page": "HTTP Status"}
#: Texts with the label that every subject gives them, each of words that no mask changes.
TEXTS = {
    f"{what} {word} came": label
    for what, label in LABEL_OF.items()
    for word in ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel")
}


class Subject:
    """A tier under test."""

    tier: Tier
    telemetry: Recording

    def start(self) -> None:
        """Begin to work, where a tier must be told."""

    def release(self) -> None:
        """Let what is slow go on."""


class FakeBundle:
    """A bundle that needs no model: the vector of a text is its number among those seen."""

    version = "fake@1"
    encoder_hash = "fake"

    def __init__(self) -> None:
        self.gate = threading.Event()

    def policy(self, threshold: float | None = None) -> AnswerPolicy:
        return AnswerPolicy(threshold or 0.5, UNCLASSIFIED)

    def embed(self, texts: Sequence[str]) -> Floats:
        if any(text.startswith("slow") for text in texts):
            assert self.gate.wait(PATIENCE_SECS)
        if any(text.startswith("fail") for text in texts):
            raise RuntimeError("no")
        return np.ones((len(texts), 2), np.float32)

    def classify(self, embeddings: Floats, texts: Sequence[str]) -> list[Prediction]:
        return [
            Prediction(LABEL_OF.get(text.split()[0], "Error"), 0.9, 0.1, True, self.version)
            for text in texts
        ]

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        return self.classify(self.embed(texts), texts)


class ModelSubject(Subject):
    def __init__(self) -> None:
        self.telemetry = Recording()
        self._bundle = FakeBundle()
        batcher = Batcher(
            cast("Bundle", self._bundle),
            batch_size=1,
            threads=4,
            queue_messages=50,
            telemetry=self.telemetry,
        )
        self.tier = ModelTier(batcher, ModelSettings(), Deadlines())

    def release(self) -> None:
        self._bundle.gate.set()


class FakeProvider:
    """A language model that answers by the first word of a line."""

    model = "fake"

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.asked = 0

    async def ask(self, question: Question, form: Form) -> Reply:
        self.asked += 1
        if '"line": "slow' in question.user:
            await self.gate.wait()
        if '"line": "fail' in question.user:
            raise ProviderError("unavailable")
        return Reply(_answer(question), 10, 10)

    async def close(self) -> None: ...


def _answer(question: Question) -> str:
    lines = [json.loads(line) for line in question.user.splitlines() if line.startswith('{"index"')]
    answers = []
    for line in lines:
        label = question.canaries.get(line["index"]) or LABEL_OF.get(
            line["line"].split()[0], "Error"
        )
        answers.append({"index": line["index"], "label": label})
    return json.dumps({"answers": answers})


class LlmSubject(Subject):
    def __init__(self, store: SqliteStore) -> None:
        self.telemetry = Recording()
        self.provider = FakeProvider()
        guards = Guards(
            LocalWindow(per_minute=100_000), Ledger(store), Breaker(failures=1000, secs=1)
        )
        settings = LlmSettings(
            provider="groq", pack_messages=1, pack_wait_ms=0, queue_messages=50, calls=4
        )
        self._tier = LlmTier(
            settings, self.provider, load_prompt(PROMPT, TEN), store, guards, self.telemetry
        )
        self.tier = self._tier

    def start(self) -> None:
        self._tier.start()

    def release(self) -> None:
        self.provider.gate.set()


Opening = Callable[[], contextlib.AbstractAsyncContextManager[Subject]]


@contextlib.asynccontextmanager
async def open_model() -> AsyncIterator[Subject]:
    subject = ModelSubject()
    try:
        yield subject
    finally:
        subject.release()
        await subject.tier.close()


@contextlib.asynccontextmanager
async def open_llm() -> AsyncIterator[Subject]:
    store = SqliteStore(None, max_secs=60, max_bytes=1 << 20)
    await store.open()
    subject = LlmSubject(store)
    try:
        yield subject
    finally:
        subject.release()
        await subject.tier.close()


TIERS: dict[str, Opening] = {"model": open_model, "llm": open_llm}


@pytest.fixture(name="unstarted", params=TIERS)
async def _unstarted(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    async with TIERS[request.param]() as subject:
        yield subject


@pytest.fixture(name="subject")
async def _subject(unstarted: Subject) -> Subject:
    unstarted.start()
    return unstarted


def submit(tier: Tier, texts: Sequence[str], scope: Scope = ANY) -> list[Answer]:
    """One future per text, whether the tier refuses by raising or by its futures."""
    try:
        return list(tier.submit(texts, scope))
    except TierUnavailable as error:
        refused: list[Answer] = []
        for _ in texts:
            refused.append(asyncio.get_running_loop().create_future())
            refused[-1].set_exception(error)
        return refused


async def outcomes(answers: Sequence[Answer]) -> list[str | None]:
    """The label of each answer, or the code of why there is none."""
    found: list[str | None] = []
    async with patience():
        for answer in answers:
            try:
                verdict = await answer
            except TierUnavailable as error:
                found.append(error.code)
            else:
                found.append(verdict.label if verdict is not None else None)
    return found


def test_every_slow_tier_is_under_this_contract() -> None:
    assert tuple(TIERS) == SLOW_TIERS


async def test_answers_come_in_the_order_of_the_texts(subject: Subject) -> None:
    answers = submit(subject.tier, list(TEXTS))
    assert len(answers) == len(TEXTS)
    assert await outcomes(answers) == list(TEXTS.values())


async def test_a_verdict_names_the_tier_and_its_version(subject: Subject) -> None:
    (answer,) = submit(subject.tier, ["disk alpha came"])
    verdict = await answer
    assert isinstance(verdict, Verdict)
    assert (verdict.tier, verdict.rule) == (subject.tier.name, subject.tier.version)


async def test_an_empty_batch_has_no_answers(subject: Subject) -> None:
    assert submit(subject.tier, []) == []


async def test_equal_texts_have_equal_answers_and_one_each(subject: Subject) -> None:
    texts = ["disk alpha came", "user alpha came", "disk alpha came"]
    assert await outcomes(submit(subject.tier, texts)) == ["Error", "User Action", "Error"]


async def test_what_is_slow_does_not_hold_up_the_rest(subject: Subject) -> None:
    slow, *quick = submit(subject.tier, ["slow alpha came", *TEXTS])
    assert await outcomes(quick) == list(TEXTS.values())
    assert not slow.done()
    subject.release()
    assert await outcomes([slow]) == ["Error"]


async def test_a_text_that_fails_costs_its_own_answer_only(subject: Subject) -> None:
    texts = ["disk alpha came", "fail alpha came", "user alpha came"]
    first, failed, last = await outcomes(submit(subject.tier, texts))
    assert (first, last) == ("Error", "User Action")
    assert failed in ("failed", "unavailable")


async def test_a_text_that_failed_can_be_asked_again(subject: Subject) -> None:
    for _ in range(2):
        (code,) = await outcomes(submit(subject.tier, ["fail alpha came"]))
        assert code in ("failed", "unavailable")
    assert await outcomes(submit(subject.tier, ["disk bravo came"])) == ["Error"]


async def test_only_labels_that_the_scope_permits_come_back(subject: Subject) -> None:
    scope = Scope(frozenset(("Error", "HTTP Status")))
    answers = await outcomes(submit(subject.tier, list(TEXTS), scope))
    assert set(answers) <= {"Error", "HTTP Status", UNCLASSIFIED}
    assert len(answers) == len(TEXTS)


async def test_a_full_tier_refuses_and_loses_nothing_that_it_took(subject: Subject) -> None:
    taken = submit(subject.tier, [f"slow {word} came" for word in "abcdefgh"])
    refused = submit(subject.tier, [f"disk {n:b} came" for n in range(60)])
    subject.release()
    assert await outcomes(taken) == ["Error"] * 8
    found = await outcomes(refused)
    assert len(found) == 60
    assert set(found) <= {"Error", "overloaded"}
    assert found[-1] == "overloaded"


async def test_a_caller_that_goes_away_does_not_take_the_answer_from_another(
    subject: Subject,
) -> None:
    gone = submit(subject.tier, ["slow alpha came"])
    waiting = asyncio.ensure_future(asyncio.wait(gone))
    await asyncio.sleep(0)
    waiting.cancel()
    stays = submit(subject.tier, ["slow alpha came"])
    subject.release()
    assert await outcomes(stays) == ["Error"]


async def test_closing_ends_every_open_answer(subject: Subject) -> None:
    answers = submit(subject.tier, [f"slow {word} came" for word in "abcdefgh"])
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(subject.tier.close())
    await asyncio.sleep(0.01)
    subject.release()  # a call that is under way may end
    await closing
    assert set(await outcomes(answers)) <= {"closed", "Error"}


async def test_closed_twice_is_closed(subject: Subject) -> None:
    await subject.tier.close()
    await subject.tier.close()
    assert await outcomes(submit(subject.tier, ["disk alpha came"])) == ["closed"]


async def test_closed_before_it_was_started(unstarted: Subject) -> None:
    await unstarted.tier.close()
    assert await outcomes(submit(unstarted.tier, ["disk alpha came"])) == ["closed"]


async def test_consulting_leaves_no_trace(subject: Subject) -> None:
    before = (dict(subject.telemetry.counts), dict(subject.telemetry.last))
    verdict = await subject.tier.consult("disk alpha came", ANY)
    assert verdict is not None
    assert (verdict.label, verdict.reason) in (("Error", None), (UNCLASSIFIED, "llm_not_asked"))
    assert (dict(subject.telemetry.counts), dict(subject.telemetry.last)) == before


async def test_consulting_says_what_the_tier_has_said(subject: Subject) -> None:
    (answer,) = submit(subject.tier, ["user alpha came"])
    said = await answer
    async with patience():
        verdict = await subject.tier.consult("user alpha came", ANY)
        while verdict is not None and verdict.reason == "llm_not_asked":  # being written
            await asyncio.sleep(0.01)
            verdict = await subject.tier.consult("user alpha came", ANY)
    assert said is not None
    assert verdict is not None
    assert (verdict.label, verdict.rule) == (said.label, said.rule)
