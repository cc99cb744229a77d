"""Fine-tunes the encoder on the corpus, and moves its weights only part of the way.

    waybill model train --tune --output models/default

A linear classifier on the frozen vectors comes first and is the head that the tuning begins with
(Kumar et al., ICLR 2022: a random head distorts what the encoder knows before it has learnt
anything). Cross-entropy then trains the head and the upper layers of the encoder. What is kept
is ``(1 - share) x original + share x tuned`` of every weight (Wortsman et al., CVPR 2022), which
keeps the breadth of the original where the corpus says nothing. Several runs, each with a seed and
lines of its own, give the mean of their weights (Wortsman et al., ICML 2022): one encoder at the
cost of one, and steadier than each. The heads are thrown away: the bundle's classifier is fitted on
the new vectors.

Lines of several labellings are learned together: each line is judged among the labels of its own,
by a head that all share, and the one encoder serves them all (Caruana, Machine Learning 1997).
"""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from sklearn.linear_model import LogisticRegression
from tokenizers import Tokenizer
from tqdm import tqdm

from waybill.core.turns import in_parts
from waybill.learn.encoder_export import resolve_source
from waybill.learn.plan import TuningPlan
from waybill.learn.tuning_lines import TuningLine

__all__ = ["tune"]

#: Tokens of a batch, padding included: about 34 lines.
BATCH_TOKENS = 1024
#: Every n-th line of the first epoch fits the head that tuning begins with.
_PROBE_STEP = 8
#: Its inverse regularisation strength, and the rounds that its fit may take.
_PROBE_STRENGTH = 10
_PROBE_ROUNDS = 300
#: Lines whose vectors are computed at once for it.
_PROBE_LINES = 32
#: The learning rate of the head; that of the encoder is in the plan.
_HEAD_RATE = 1e-3
_WEIGHT_DECAY = 0.01
#: Share of a label's weight that all labels of its labelling get.
_SMOOTHING = 0.05
#: Share of the steps in which the learning rate rises; it falls to 0 in the others.
_WARMUP = 0.06
_LARGEST_GRADIENT = 1.0

#: torch brings no types here.
Tensor = Any
Model = Any
#: A label among those of its labelling: a column of the head.
Class: TypeAlias = tuple[str, str]


class Batch(NamedTuple):
    """Token ids of some lines of about one length, and the columns of their labels."""

    ids: list[list[int]]
    labels: list[int]


class Head(NamedTuple):
    """A linear classifier: weights [classes, dimensions] and bias [classes].

    ``rivals`` [classes, classes] is 0 where two labels are of one labelling, else minus infinity:
    a row of it, added to the scores, leaves a line the labels of its own labelling.
    """

    weight: Tensor
    bias: Tensor
    rivals: Tensor


def tune(
    source: str,
    runs: Iterable[Sequence[Sequence[TuningLine]]],
    plan: TuningPlan,
    output: Path,
    *,
    max_tokens: int,
    seed: int,
    threads: int,
) -> None:
    """Write the folder ``output``: the model ``source`` with the mean weights of ``runs``, each
    tuned on its epochs of lines.

    The same lines, seed, threads and libraries give the same weights. Raises FileNotFoundError:
    ``source`` is not there.
    """
    import torch
    from transformers import AutoModel

    folder = resolve_source(source)
    torch.set_num_threads(threads)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(max_tokens)
    tokenizer.no_padding()
    model = AutoModel.from_pretrained(folder)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    tuned: list[dict[str, Tensor]] = []
    for number, epochs in enumerate(runs):
        model.load_state_dict(before)
        _run(model, tokenizer, epochs, plan, seed + number)
        tuned.append({name: value.clone() for name, value in model.state_dict().items()})
    model.load_state_dict(_between(before, tuned, plan.share))
    model.save_pretrained(output)
    shutil.copyfile(folder / "tokenizer.json", output / "tokenizer.json")


def _run(
    model: Model,
    tokenizer: Tokenizer,
    epochs: Sequence[Sequence[TuningLine]],
    plan: TuningPlan,
    seed: int,
) -> None:
    """Tune ``model`` on the lines, in place."""
    import torch

    torch.manual_seed(seed)
    classes = sorted({_class(line) for line in epochs[0]})
    head = _first_head(model, tokenizer, epochs[0][::_PROBE_STEP], classes)
    _train(model, head, list(_batches(epochs, tokenizer, classes, seed)), plan)


def _class(line: TuningLine) -> Class:
    return line.labelling, line.label


def _between(
    before: dict[str, Tensor], tuned: Sequence[dict[str, Tensor]], share: float
) -> dict[str, Tensor]:
    """Weights ``share`` of the way from ``before`` to the mean of ``tuned``; whole numbers stay."""
    found: dict[str, Tensor] = {}
    for name, value in before.items():
        found[name] = value
        if value.is_floating_point():
            mean = sum(after[name] for after in tuned) / len(tuned)
            found[name] = (1 - share) * value + share * mean
    return found


def _batches(
    epochs: Sequence[Sequence[TuningLine]], tokenizer: Tokenizer, classes: list[Class], seed: int
) -> Iterator[Batch]:
    """Lines of like length together, in a random order of batches, epoch after epoch."""
    rng = random.Random(seed)
    for lines in epochs:
        ids = _token_ids(tokenizer, lines)
        keys = [len(row) + 2 * rng.random() for row in ids]
        batches: list[list[int]] = [[]]
        for row in sorted(range(len(ids)), key=keys.__getitem__):
            batch = batches[-1]
            if batch:
                widest = max(len(ids[row]), len(ids[batch[0]]))
                if (len(batch) + 1) * widest > BATCH_TOKENS:
                    batches.append([])
            batches[-1].append(row)
        rng.shuffle(batches)
        for rows in batches:
            labels = [classes.index(_class(lines[row])) for row in rows]
            yield Batch([ids[row] for row in rows], labels)


def _token_ids(tokenizer: Tokenizer, lines: Sequence[TuningLine]) -> list[list[int]]:
    """The tokens of each line."""
    encoded = tokenizer.encode_batch([line.text for line in lines])
    return [one.ids for one in encoded]


def _vectors(model: Model, rows: Sequence[Sequence[int]]) -> Tensor:
    """Unit vectors of padded token ids: the mean of the last states, as in the served graph."""
    import torch

    ids = torch.zeros((len(rows), max(map(len, rows))), dtype=torch.long)
    attention = torch.zeros_like(ids)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = torch.tensor(row)
        attention[at, : len(row)] = 1
    states = model(input_ids=ids, attention_mask=attention).last_hidden_state
    weights = attention.unsqueeze(-1).to(states.dtype)
    mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
    return torch.nn.functional.normalize(mean, p=2, dim=1)


def _first_head(
    model: Model, tokenizer: Tokenizer, lines: Sequence[TuningLine], classes: list[Class]
) -> Head:
    """A classifier on the vectors as they are, fitted for each labelling by itself."""
    import torch

    model.eval()
    ids = _token_ids(tokenizer, lines)
    with torch.inference_mode():
        parts = [_vectors(model, rows).numpy() for rows in in_parts(ids, _PROBE_LINES)]
    vectors = np.concatenate(parts)
    weight = torch.zeros((len(classes), vectors.shape[1]))
    bias = torch.zeros(len(classes))
    column = np.array([classes.index(_class(line)) for line in lines])
    labellings = np.array([labelling for labelling, _ in classes])
    for labelling in sorted(set(labellings.tolist())):
        rows = labellings[column] == labelling
        probe = LogisticRegression(C=_PROBE_STRENGTH, max_iter=_PROBE_ROUNDS)
        probe.fit(vectors[rows], column[rows])
        weight[probe.classes_] = torch.tensor(probe.coef_, dtype=torch.float32)
        bias[probe.classes_] = torch.tensor(probe.intercept_, dtype=torch.float32)
    apart = torch.tensor(labellings[:, None] != labellings[None, :])
    rivals = torch.zeros(apart.shape).masked_fill(apart, -torch.inf)
    return Head(torch.nn.Parameter(weight), torch.nn.Parameter(bias), rivals)


def _train(model: Model, head: Head, batches: list[Batch], plan: TuningPlan) -> None:
    import torch

    for part in (model.embeddings, *model.encoder.layer[: plan.frozen_layers]):
        part.requires_grad_(False)
    optimiser = torch.optim.AdamW(_groups(model, head, plan.learning_rate))
    warm = max(1, int(_WARMUP * len(batches)))
    falling = max(1, len(batches) - warm)

    def rate(step: int) -> float:
        return min((step + 1) / warm, max(0.0, (len(batches) - step) / falling))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    costs = _class_weights(batches, len(head.bias))
    model.train()
    for batch in tqdm(batches, desc="tune", disable=not sys.stderr.isatty()):
        labels = torch.tensor(batch.labels)
        scores = _vectors(model, batch.ids) @ head.weight.T + head.bias + head.rivals[labels]
        loss = _loss(scores, labels, costs)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), _LARGEST_GRADIENT)
        optimiser.step()
        schedule.step()
    model.eval()


def _loss(scores: Tensor, labels: Tensor, costs: Tensor) -> Tensor:
    """Cross-entropy with smoothed labels, weighted by ``costs``, over the labels of a row's own
    labelling: the others have a score of minus infinity.
    """
    import torch

    is_own = torch.isfinite(scores)
    losses = (-torch.log_softmax(scores, 1) * costs).masked_fill(~is_own, 0.0)
    told = losses.gather(1, labels[:, None])[:, 0]
    smooth = losses.sum(1) / is_own.sum(1)
    return ((1 - _SMOOTHING) * told + _SMOOTHING * smooth).sum() / costs[labels].sum()


def _groups(model: Model, head: Head, learning_rate: float) -> list[dict[str, object]]:
    """What is trained: matrices with weight decay, biases and norms without, the head faster."""
    matrices: list[Tensor] = []
    others: list[Tensor] = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            group = matrices if parameter.ndim > 1 else others
            group.append(parameter)
    return [
        {"params": matrices, "weight_decay": _WEIGHT_DECAY, "lr": learning_rate},
        {"params": others, "weight_decay": 0.0, "lr": learning_rate},
        {"params": [head.weight, head.bias], "weight_decay": 0.0, "lr": _HEAD_RATE},
    ]


def _class_weights(batches: Sequence[Batch], classes: int) -> Tensor:
    """One over the root of each label's lines, 1 in the mean: rare labels count for more."""
    import torch

    counts = np.bincount([label for batch in batches for label in batch.labels], minlength=classes)
    weights = 1 / np.sqrt(np.maximum(counts, 1))
    return torch.tensor(weights / weights.mean(), dtype=torch.float32)
