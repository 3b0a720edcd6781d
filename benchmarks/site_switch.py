"""What people notice of a deploy and a rollback: failed requests, the longest gap, the slowest answers."""

import argparse
import time

from harness import percentiles, report
from site_load import Answer, failed, longest_gap_ms, within
from site_world import World, deployed, load

AT_LEAST = 5000
SHOWN = 10


def measure(world: World, per_second: int, calm_s: float) -> dict[str, object]:
    site, account = world.site, world.administrator()
    version = world.variants.same(site.version(1))
    moments = [0.0] * 4
    with load(site, account, per_second, "people") as running:
        time.sleep(2)  # connections are made and caches filled
        moments[0] = time.monotonic()
        time.sleep(calm_s)
        moments[1] = time.monotonic()
        site.do("deploy", version, "--why=benchmark")
        moments[2] = time.monotonic()
        site.do("rollback", "--why=benchmark")
        moments[3] = time.monotonic()
        time.sleep(2)
        answers = running.stop()
    phases = {
        name: described(within(answers, began, ended))
        for name, began, ended in zip(("calm", "deploy", "rollback"), moments[:3], moments[1:], strict=True)
    }
    changing = within(answers, moments[1], moments[3])
    bad = failed(answers)
    return {
        "requests": len(answers),
        "requests_while_changing": len(changing),
        "per_second_asked": per_second,
        "failed": len(bad),
        "failures": [(status, path, round(sent - moments[1], 2)) for sent, _, status, path, _ in bad[:SHOWN]],
        "phases": phases,
        "met": not bad and len(changing) >= AT_LEAST,
    }


def described(answers: list[Answer]) -> dict[str, object]:
    figures = percentiles([took for _, took, *_ in answers])
    again = sum(times > 1 for *_, times in answers)
    return {**figures, "sent_again": again, "longest_gap_between_answers_ms": longest_gap_ms(answers)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-second", type=int, default=220)
    parser.add_argument("--calm-seconds", type=float, default=20.0)
    parser.add_argument("--release", default="", help="tag of images that are here; else they are built")
    options = parser.parse_args()
    with deployed(options.release) as running_site:
        found = measure(running_site, options.per_second, options.calm_seconds)
    report("site_switch", f"no failed request of at least {AT_LEAST} during deploy and rollback", **found)
