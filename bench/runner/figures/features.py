"""What access control, limits and the audit trail add to a cached handout."""

import wrk
from contenders import free_port
from identity import IdentityProvider
from plots import chart
from report import Bar, Section
from stats import median, ratios, spread, text

NAME = "features"
TITLE = "What access control, limits, audit trail and metrics cost"
ROUNDS, SECONDS = 9, 2
# More than anybody can ask for, so that every request passes.
RATE = 'rate = "1000000/s"\n'
OFF = '[audit]\nto = "off"\n'


def servers_of(bench):
    stable = bench.stable
    key, sha256 = stable.api_key()
    api_key = f'[[access.api_keys]]\nid = "bench"\nsha256 = "{sha256}"\n'
    header = (("X-API-Key", key),)
    identity = IdentityProvider(stable.folder)
    trail, whole_trail = stable.path("audit.jsonl"), stable.path("audit.jsonl")
    audit, whole_audit = f'[audit]\nto = "{trail}"\n', f'[audit]\nto = "{whole_trail}"\n'
    admin = f'[admin]\nlisten = "127.0.0.1:{free_port()}"\n'
    bearer = (("Authorization", f"Bearer {identity.token()}"),)
    return {
        "open path": stable.ours(OFF),
        "+ API key": stable.ours(OFF + api_key, headers=header),
        "+ API key, rate limit": stable.ours(OFF + api_key + RATE, headers=header),
        "+ OpenID Connect, warm": stable.ours(OFF + identity.config(), headers=bearer),
        "+ audit trail to a file": stable.ours(audit, waste=trail),
        "default: audit trail in the log": stable.ours(""),
        "API key, rate limit, audit, metrics": stable.ours(
            admin + whole_audit + api_key + RATE, headers=header, waste=whole_trail
        ),
    }


def estimate(bench):
    return 7 * bench.rounds(ROUNDS) * (SECONDS + 0.3) + 6


def measure(bench):
    bench.progress.step("starting", 6)
    servers = servers_of(bench)
    for server in servers.values():
        wrk.run(server, 1)
    samples = {name: [] for name in servers}
    for number in range(bench.rounds(ROUNDS)):
        for name, server in servers.items():
            bench.progress.step(f"round {number + 1}, {name}", SECONDS + 0.3)
            samples[name].append(wrk.run(server, SECONDS))
    cpu = {name: [sample["cpu"] for sample in taken] for name, taken in samples.items()}
    plain, whole = cpu["open path"], cpu["API key, rate limit, audit, metrics"]
    rows = [
        [
            name,
            spread(values, "seconds"),
            text(median(ratios(values, plain)), "ratio"),
            text(median([sample["rate"] for sample in samples[name]]), "rate"),
        ]
        for name, values in cpu.items()
    ]
    ratio = median(ratios(whole, plain))
    lines = [(name, values, True) for name, values in cpu.items()]
    return Section(
        NAME,
        TITLE,
        "CPU per cached handout, audit thread and all: one line of the trail for every answer, none lost to a limit. The "
        "OpenID Connect token (RS256) has been seen before; the first time costs a signature check.",
        ["", "CPU per request", "× open path", "requests/s"],
        rows,
        [Bar("CPU with API key, rate limit, audit trail and metrics", "≤ 1.15 × open path", text(ratio, "ratio"), ratio <= 1.15)],
        {"features": chart("CPU time per cached handout", "seconds", lines, wanted=("1.15 × open path", 1.15 * median(plain)))},
    )
