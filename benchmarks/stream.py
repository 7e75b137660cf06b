"""A stream of questions through a running gateway whose provider words its answers differently each time.

    thriftgate eval wordings bitext --data FOLDER --questions 4000 > bitext.jsonl
    python -m benchmarks.stream bitext.jsonl [--requests 4000] [--seed 1] [--start prior]

    thriftgate eval wordings banking77 --data FOLDER --support > support.jsonl
    python -m benchmarks.stream support.jsonl

The file is JSON Lines with `question`, `answer`, `wordings` and `label`. Each question is asked once, in a shuffled
order, at one connection; a hit is right if its answer is a wording of the question's own label. Talks HTTP only.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.gateway import Gateway
from benchmarks.raw_client import prepared

CONFIGURATION = """
[providers.simulated]
priced_as = "openai"
[providers.simulated.simulation]
answers = "{answers}"

[models.gpt-5-mini]
tier = "mid"
deployments = [{{ provider = "simulated" }}]

[routes.default]
models = ["gpt-5-mini"]
[routes.default.cache]
start = "{start}"
max_wrong_per_hit = {max_wrong}
personal = "{personal}"
ttl_s = 864000
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--requests", type=int, default=0, help="0 = all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", choices=("prior", "closed"), default="prior")
    parser.add_argument("--max-wrong", type=float, default=0.01)
    parser.add_argument("--personal", choices=("bypass", "share"), default="share")
    given = parser.parse_args()
    items = [json.loads(line) for line in given.file.read_text(encoding="utf-8").splitlines()]
    labels = {wording: item["label"] for item in items for wording in (item["answer"], *item["wordings"])}
    random.Random(given.seed).shuffle(items)
    items = items[: given.requests or None]
    configuration = CONFIGURATION.format(
        answers=given.file.resolve(), start=given.start, max_wrong=given.max_wrong, personal=given.personal
    )
    dispositions: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    right: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, Gateway(Path(folder), configuration) as gateway:
        gateway.start()
        key = gateway.key("benchmark")
        began = time.perf_counter()
        with gateway.connect() as connection:
            for done, item in enumerate(items, start=1):
                body = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": item["question"]}]}
                reply = connection.send(prepared("POST", "/v1/chat/completions", key=key, body=body))
                if reply.status != 200:
                    print(reply.status, reply.body.decode()[:300])
                    return 1
                answer = json.loads(reply.body)["choices"][0]["message"]["content"]
                dispositions[reply.cache] += 1
                reasons[f"{reply.cache} {reply.headers.get('x-thriftgate-cache-reason', '')}"] += 1
                right[reply.cache] += labels.get(answer) == item["label"]
                if sys.stderr.isatty() and done % 200 == 0:
                    print(f"\r{done:,}/{len(items):,}", end="", file=sys.stderr, flush=True)
        took_s = time.perf_counter() - began
        status = json.loads(gateway.admin("GET", "/admin/status").body)
    hits, correct = dispositions["semantic"], right["semantic"] + right["exact"]
    print(f"{given.file.stem}, seed {given.seed}, start {given.start}, budget {given.max_wrong:.1%} per hit")
    print(f"requests {len(items):,}  ({took_s / len(items) * 1000:.2f} ms each)")
    print(f"correct hits {correct / len(items):.1%} of requests; semantic hits {hits:,}")
    wrong = hits - right["semantic"]
    print(f"wrong per semantic hit {wrong / max(hits, 1):.2%} ({wrong})")
    print("reasons", dict(reasons.most_common()))
    print("cache", status["cache"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
