"""What the chaos runs found, as promises kept or missed and as a report for people. Pure: from data to text."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

ANSWERED_AT_LEAST: Final = 0.9999
FAILOVER_P99_MS: Final = 1000.0
FIRST_EVENT_TIMEOUT_MS: Final = 500.0
OPEN_P99_MS: Final = 50.0
GOODPUT_AT_LEAST: Final = 0.9
REFUSED_P99_MS: Final = 50.0
RECOVERY_S: Final = 5.0
MEMORY_GROWTH_MB: Final = 100.0
"""Under overload: what the requests that the gateway lets in at a time may take."""
RSS_SLOPE_MB: Final = 1.0
FILES_LEFT: Final = 8
"""Descriptors that a started server opens once: databases, listeners, a connection or two."""
REQUESTS_OF_A_RUN: Final = {"single": 2000, "mixed": 100_000, "kills": 100, "soak": 30}

Found = Mapping[str, Any]


def promises(found: Found) -> list[dict[str, Any]]:
    """Every promise with what was measured; `kept` is None where nothing was."""
    rows = [*found.get("faults", {}).get("rows", []), *([found["mixed"]["row"]] if "mixed" in found else [])]
    made = [*_row_promises(rows)]
    for load in found.get("overload", {}).get("loads", []):
        if load["name"] == "upstream-bound":
            made += _overload_promises(load)
    if "kill" in found:
        made += _kill_promises(found["kill"]["kills"])
    if "soak" in found:
        made += _soak_promises(found["soak"]["soak"])
    return made


def _promise(what: str, target: str, measured: str, kept: bool | None, misses: Iterable[str] = ()) -> dict[str, Any]:
    return {"what": what, "target": target, "measured": measured, "kept": kept, "misses": list(misses)}


def _row_promises(rows: list[Found]) -> list[dict[str, Any]]:
    if not rows:
        return []
    requests, broken = sum(r["requests"] for r in rows), sum(r["broken_off"] for r in rows)
    answerable = requests - broken
    answered, wrong = sum(r["answered"] for r in rows), sum(r["wrong"] for r in rows)
    worst = min(rows, key=_answered_share)
    below = [f"{_title(r)}: {_answered_share(r):.4%} ({_counts(r['details'])})" for r in rows if _is_lossy(r)]
    late = [r for r in rows if r["beyond_timeouts_p99_ms"] is not None and not _is_in_time(r)]
    opened = [r for r in rows if r["open_p99_ms"] is not None]
    slow_open = [r for r in opened if r["open_p99_ms"] >= OPEN_P99_MS]
    backs = [r for r in rows if r["is_back_expected"]]
    never = [_title(r) for r in backs if r["back_after_s"] is None]
    slowest = max((r["beyond_timeouts_p99_ms"] or 0.0 for r in rows), default=0.0)
    most_open = max((r["open_p99_ms"] for r in opened), default=0.0)
    longest = max((r["back_after_s"] or 0.0 for r in backs), default=0.0)
    return [
        _promise(
            "answered correctly, of those whose answer had not begun",
            f"≥ {ANSWERED_AT_LEAST:.2%} in each row",
            f"{answered / max(answerable, 1):.4%}; worst row: {_title(worst)}, {_answered_share(worst):.3%}",
            not below,
            below,
        ),
        _promise(
            "wrong, mixed up, duplicated, or truncated and called complete",
            "none",
            f"{wrong:,} of {requests:,}",
            wrong == 0,
            [f"{_title(r)}: {_counts(r['details'])}" for r in rows if r["wrong"]],
        ),
        _promise(
            "a failover adds, p99, beyond the timeouts of hanging upstreams",
            f"< {FAILOVER_P99_MS:.0f} ms in each row",
            f"{slowest:.0f} ms at most",
            not late,
            [f"{_title(r)}: {r['beyond_timeouts_p99_ms']:.0f} ms" for r in late],
        ),
        _promise(
            "the same in a full outage, once a breaker has had its time to open",
            f"< {OPEN_P99_MS:.0f} ms",
            f"{most_open:.0f} ms at most" if opened else "",
            not slow_open if opened else None,
            [f"{_title(r)}: {r['open_p99_ms']:.0f} ms" for r in slow_open],
        ),
        _promise(
            "the first deployment answers again by itself",
            "always",
            f"{len(backs) - len(never)} of {len(backs)}, after {longest:.1f} s at most" if backs else "",
            not never if backs else None,
            never,
        ),
    ]


def _is_lossy(row: Found) -> bool:
    return bool(row["wrong"] or _answered_share(row) < ANSWERED_AT_LEAST)


def _answered_share(row: Found) -> float:
    return float(row["answered"] / max(row["requests"] - row["broken_off"], 1))


def _is_in_time(row: Found) -> bool:
    return bool(row["beyond_timeouts_p99_ms"] < FAILOVER_P99_MS)


def _overload_promises(load: Found) -> list[dict[str, Any]]:
    share = load["goodput_per_s"] / max(load["peak_per_s"], 1e-9)
    refused, grown = load["refused_p99_ms"], load["rss_most_mb"] - load["rss_before_mb"]
    others = load["requests"] - load["answered"] - load["refused"]
    return [
        _promise(
            f"overload at {load['offered_per_s']:.0f} requests/s: right answers, of the peak",
            f"≥ {GOODPUT_AT_LEAST:.0%}",
            f"{share:.0%} ({load['goodput_per_s']:.1f} of {load['peak_per_s']:.1f} a second)",
            share >= GOODPUT_AT_LEAST,
        ),
        _promise(
            "everything else is refused with 503 and Retry-After, p99",
            f"< {REFUSED_P99_MS:.0f} ms",
            f"{refused:.0f} ms; {others:,} ended otherwise" if refused is not None else f"{others:,} ended otherwise",
            refused is not None and refused < REFUSED_P99_MS and not others,
            [_counts(load["details"] or {})] if others else [],
        ),
        _promise(
            "memory under overload grows by",
            f"< {MEMORY_GROWTH_MB:.0f} MB",
            f"{grown:.1f} MB",
            grown < MEMORY_GROWTH_MB,
        ),
        _promise(
            "as before, after the load's end",
            f"within {RECOVERY_S:.0f} s",
            "not seen" if load["recovery_s"] is None else f"{load['recovery_s']:.1f} s",
            load["recovery_s"] is not None and load["recovery_s"] <= RECOVERY_S,
        ),
    ]


def _kill_promises(kills: Found) -> list[dict[str, Any]]:
    bad = kills["lost"] + kills["doubled"] + kills["wrong"]
    return [
        _promise(
            f"{kills['times']} times `kill -9`: answers lost, counted twice or wrong; books that are off",
            "none",
            f"{bad} of {kills['acknowledged']:,} acknowledged; {kills['healed']:,} reservations healed; "
            f"{len(kills['problems'])} other problems",
            not bad and not kills["problems"],
            kills["problems"][:10],
        )
    ]


def _soak_promises(soak: Found) -> list[dict[str, Any]]:
    before, after = soak["before"], soak["after"]
    slope, minutes = soak["rss_slope_mb"], soak["minutes"]
    left = {name: after[name] - before[name] for name in ("open_files", "threads", "tasks") if after[name] is not None}
    still_open = {"open reservations": soak["open_reservations"], "requests in flight": soak["in_flight"] or 0}
    bad = {name: soak["verdicts"].get(name, 0) for name in ("wrong", "lost", "refused", "wrongly not refused")}
    return [
        _promise(
            f"{minutes:g} minutes of mixed load: memory grows per 10 minutes by",
            f"< {RSS_SLOPE_MB:.0f} MB",
            "" if slope is None else f"{slope:+.2f} MB ({soak['samples'][-1]['rss_mb']:.0f} MB at the end)",
            None if slope is None else slope < RSS_SLOPE_MB,
        ),
        _promise(
            "descriptors, threads and tasks left when everybody has gone",
            f"at most {FILES_LEFT} descriptors, no task",
            ", ".join(f"{name.replace('_', ' ')} {count:+d}" for name, count in left.items())
            + ("" if "tasks" in left else "; tasks are not told"),
            left["open_files"] <= FILES_LEFT and left.get("tasks", 0) <= 0 and not any(still_open.values()),
            [_counts(still_open)] if any(still_open.values()) else [],
        ),
        _promise(
            "in the soak: wrong, lost or refused without a cause; the ledger verifies",
            "none",
            f"{_counts(bad)}; {'verifies' if soak['verifies'] else 'does not verify'}",
            not any(bad.values()) and soak["verifies"],
            [_counts(soak["details"])] if any(bad.values()) else [],
        ),
    ]


# --- for people ------------------------------------------------------------------------------------------------------


def as_markdown(found: Found) -> str:
    """The report, as far as there is one."""
    return "\n".join([*_summary(found), *_tables(found)]) + "\n"


def summary(found: Found) -> str:
    """Its beginning: the promises, and where they were missed."""
    return "\n".join(_summary(found)) + "\n"


def _summary(found: Found) -> list[str]:
    parts = ["# Chaos", ""]
    if short := _what_is_short(found):
        parts += [f"A shorter run than the promises speak of: {short}.", ""]
    made = promises(found)
    verdicts = {True: "kept", False: "**missed**", None: "not measured"}
    parts += _table(
        ["what", "target", "measured", ""],
        [[p["what"], p["target"], p["measured"], verdicts[p["kept"]]] for p in made],
        numbers=False,
    )
    if any(promise["misses"] for promise in made):
        parts += ["", "## What was missed, and where", ""]
        for promise in made:
            parts += [f"- {promise['what']}:"] * bool(promise["misses"]) + [f"  - {miss}" for miss in promise["misses"]]
    return parts


def _tables(found: Found) -> list[str]:
    parts: list[str] = []
    rows = [*found.get("faults", {}).get("rows", []), *([found["mixed"]["row"]] if "mixed" in found else [])]
    if rows:
        parts += ["", "## Faults", "", *_short_table(rows), "", "## Faults by rate", "", *_fault_table(rows)]
    if loads := found.get("overload", {}).get("loads"):
        parts += ["", "## Overload", "", *_overload_table(loads)]
    if "soak" in found:
        parts += ["", "## Soak", "", *_soak_lines(found["soak"]["soak"])]
    parts += ["", "## How", ""]
    for name in ("faults", "mixed", "overload", "kill", "soak"):
        if name in found:
            run = found[name]
            parts.append(f"- {name}: `{run['command']}`, {run['took_s']:.0f} s, {_where(run['machine'])}")
    return parts


def _what_is_short(found: Found) -> str:
    least = REQUESTS_OF_A_RUN
    per_fault: Counter[str] = Counter()
    for row in found.get("faults", {}).get("rows", []):
        per_fault[row["fault"]] += row["requests"]
    counts = {
        "requests per fault": (min(per_fault.values(), default=None), "single"),
        "requests of the mixed run": (found.get("mixed", {}).get("row", {}).get("requests"), "mixed"),
        "kills": (found.get("kill", {}).get("kills", {}).get("times"), "kills"),
        "minutes of soak": (found.get("soak", {}).get("soak", {}).get("minutes"), "soak"),
    }
    short = [
        f"{count:,} {what} instead of {least[name]:,}"
        for what, (count, name) in counts.items()
        if count is not None and count < least[name]
    ]
    return "; ".join(short)


def _short_table(rows: list[Found]) -> list[str]:
    """One line for each fault, for quoting: counts of all its rates, times of the worst one."""
    by_fault: dict[str, list[Found]] = {}
    for row in rows:
        by_fault.setdefault(row["fault"], []).append(row)
    headings = ["fault", "rates", "requests", "answered", "wrong", "lost", "broken off"]
    headings += ["failover p50 ms", "failover p99 ms", "p99 when open ms"]
    cells = []
    for fault, its in by_fault.items():
        requests, answered, wrong, lost, broken = (
            sum(row[name] for row in its) for name in ("requests", "answered", "wrong", "lost", "broken_off")
        )
        rates = ", ".join("0 to 100" if row["rate"] is None else f"{row['rate'] * 100:.0f}" for row in its) + " %"
        share = f"{answered / max(requests - broken, 1):.3%}"
        times = [
            _number(_most(row[name] for row in its)) for name in ("failover_p50_ms", "failover_p99_ms", "open_p99_ms")
        ]
        cells.append([fault, rates, f"{requests:,}", share, str(wrong), str(lost), str(broken), *times])
    return _table(headings, cells)


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _fault_table(rows: list[Found]) -> list[str]:
    headings = ["fault", "rate", "requests", "answered", "wrong", "lost", "broken off", "failed over"]
    headings += ["failover p50 ms", "failover p99 ms", "p99 when open ms", "back after s"]
    headings += ["own lag p99 ms", "own lag at most ms"]
    cells = [
        [
            row["fault"],
            "0 to 100 %" if row["rate"] is None else f"{row['rate']:.0%}",
            f"{row['requests']:,}",
            f"{_answered_share(row):.3%}",
            str(row["wrong"]),
            str(row["lost"]),
            str(row["broken_off"]),
            f"{row['failed_over']:,}",
            _number(row["failover_p50_ms"]),
            _number(row["failover_p99_ms"]),
            _number(row["open_p99_ms"]),
            _number(row["back_after_s"], 1) or ("never" if row["is_back_expected"] else ""),
            _number(row["lag_p99_ms"]),
            _number(row["lag_most_ms"]),
        ]
        for row in rows
    ]
    return [
        *_table(headings, cells),
        "",
        "One deployment fails in this share of cases (of requests, of connections, or of the time that its port is "
        "closed), the next one is healthy. `answered` is the share of those whose answer had not begun when the fault "
        "struck; `broken off` are the others: streams that ended in a proper error event. A failover's time is what an "
        "answer of the next deployment took longer than the median without faults, from the request to the first "
        f"event; upstreams that hang are given {FIRST_EVENT_TIMEOUT_MS:.0f} ms for theirs. `when open` is the same in "
        "a full outage that has lasted for some seconds. `own lag` is how late the measuring process itself was woken: "
        "where it is large, the machine was busy with something else, and the times beside it say little.",
    ]


def _overload_table(loads: list[Found]) -> list[str]:
    headings = [
        "overload",
        "peak/s",
        "offered/s",
        "sent/s",
        "answered/s",
        "answered p99 ms",
        "503",
        "503 p50 ms",
        "503 p99 ms",
    ]
    headings += ["other refusals", "lost", "wrong", "RSS before MB", "RSS at most MB", "recovery s", "own lag p99 ms"]
    cells = [
        [
            load["name"],
            f"{load['peak_per_s']:.0f}",
            f"{load['offered_per_s']:.0f}",
            _number(load.get("sent_per_s")),  # runs of before do not say
            f"{load['goodput_per_s']:.0f}",
            _number(load["answered_p99_ms"]),
            f"{load['refused']:,}",
            _number(load["refused_p50_ms"]),
            _number(load["refused_p99_ms"]),
            str(load["refused_otherwise"]),
            str(load["lost"]),
            str(load["wrong"]),
            f"{load['rss_before_mb']:.0f}",
            f"{load['rss_most_mb']:.0f}",
            _number(load["recovery_s"], 1) or "not seen",
            _number(load.get("lag_p99_ms")),
        ]
        for load in loads
    ]
    return _table(headings, cells)


def _soak_lines(soak: Found) -> list[str]:
    samples = soak["samples"]
    shown = samples[:: max(len(samples) // 10, 1)]
    cells = [
        [f"{s['at_s'] / 60:.1f}", f"{s['rss_mb']:.1f}", str(s["open_files"]), str(s["threads"]), str(s["tasks"] or "")]
        for s in [soak["before"], *shown, soak["after"]]
    ]
    lines = [f"{soak['per_s']:g} requests a second: {_counts(soak['verdicts'])}.", ""]
    return lines + _table(["minute", "RSS MB", "descriptors", "threads", "tasks"], cells)


def _where(machine: Found) -> str:
    load = f"load average {machine['load_before']} before, {machine['load_after']} after"
    return f"{machine['cores']} cores of {machine['cpu']}, {load}, commit {machine['commit']}, {machine['at']}"


def _title(row: Found) -> str:
    return row["fault"] if row["rate"] is None else f"{row['fault']} at {row['rate']:.0%}"


def _number(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "nothing"


def _table(headings: list[str], rows: list[list[str]], *, numbers: bool = True) -> list[str]:
    aligned = ["---"] + ["---:" if numbers else "---"] * (len(headings) - 1)
    return [f"| {' | '.join(cells)} |" for cells in (headings, aligned, *rows)]
