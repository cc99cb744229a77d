"""The reference batch and the rules of the benchmark; the same for the same seed, on
every machine.
"""

from __future__ import annotations

import random

__all__ = ["RECORDS", "reference_batch", "rule_text"]

RECORDS = 1000
_IMAGE = "registry.internal/team/component"
#: Patterns of rules for other software.
_SHAPES = (
    r"^{}\[\d+\]: {} {} for user \S+$",
    r"{} {}: (lost|dropped) {} after \d+ ms",
    r"(?i){} {} \w+ {}",
    r"\b{}=\d+ {}=[a-z]+ .*{}",
    r"{} (could not|cannot) {} the {}",
)


def reference_batch(seed: int, records: int = RECORDS) -> list[dict[str, object]]:
    """Records as Fluent Bit's kubernetes filter leaves them; no two messages alike, over
    all seeds.
    """
    chance = random.Random(seed)
    return [_record(chance, seed * records + i) for i in range(records)]


def _record(chance: random.Random, i: int) -> dict[str, object]:
    component = chance.randrange(200)
    message = _message(chance, i, component)
    pod = f"component-{component}-{chance.randrange(16**8):08x}-{chance.randrange(36**3):05d}"
    return {
        "date": 1795210250.0 + i / 1000,
        "log": message,
        "stream": "stderr",
        "source": f"component-{component % 20}",
        "kubernetes": _kubernetes(chance, i, component, pod),
    }


def _message(chance: random.Random, i: int, component: int) -> str:
    """One of three; the last has a rule in `rule_text`, the others are the memo's business."""
    clock = f"2026-11-20T{i // 3600 % 24:02d}:{i // 60 % 60:02d}:{i % 60:02d}.{i % 1000:03d}Z"
    done = f"finished job {i} in {chance.randrange(900)} ms"
    retried = f"retried request {i} to 10.0.{i % 250}.7:8080"
    failed = f"failed with code {chance.randrange(90)} on shard {i}"
    return chance.choice(
        (
            f"{clock} INFO component-{component} {done}",
            f"{clock} WARN component-{component} {retried}",
            f"{clock} ERROR component-{component} {failed}",
        )
    )


def _kubernetes(chance: random.Random, i: int, component: int, pod: str) -> dict[str, object]:
    """What Fluent Bit's kubernetes filter adds."""
    return {
        "pod_name": pod,
        "namespace_name": "production",
        "pod_id": f"{chance.randrange(16**32):032x}",
        "labels": {
            "app.kubernetes.io/name": f"component-{component}",
            "app.kubernetes.io/instance": "production",
            "app.kubernetes.io/managed-by": "helm",
            "pod-template-hash": f"{chance.randrange(16**8):08x}",
        },
        "annotations": {
            "checksum/config": f"{chance.randrange(16**64):064x}",
            "prometheus.io/scrape": "true",
            "prometheus.io/port": "9090",
        },
        "host": f"node-{i % 40}.cluster.internal",
        "container_name": f"component-{component}",
        "docker_id": f"{chance.randrange(16**64):064x}",
        "container_hash": f"{_IMAGE}@sha256:{chance.randrange(16**64):064x}",
        "container_image": f"{_IMAGE}:1.42.0",
    }


def rule_text(count: int) -> str:
    """A rule file of ``count`` rules: one decides a third of the batch, the others are for other
    software.
    """
    chance = random.Random(11)

    patterns = [r"component-\d+ (failed|crashed) with code \d+ on shard \d+"]
    patterns += [
        chance.choice(_SHAPES).format(_word(chance), _word(chance), _word(chance))
        for _ in range(count - 1)
    ]
    return "rules:\n" + "".join(
        f"- id: rule-{i}\n  label: Error\n  pattern: '{pattern}'\n"
        for i, pattern in enumerate(patterns)
    )


def _word(chance: random.Random) -> str:
    syllables = chance.choice((2, 3, 4))
    return "".join(
        chance.choice("bdfgklmnprstv") + chance.choice("aeiou") for _ in range(syllables)
    )
