#!/usr/bin/env python3
"""Compares the findings of Stockade and Trivy in the roots of scan-roots.sh, both with the facts of data/advisories.

scan-findings.py STOCKADE TRIVY ROOTS [ADVISORIES]: one line a root: what both find, what one of them alone finds.
ROOTS/findings/NAME.ours and .theirs list the differences. Trivy's database is made by trivy-db.py."""

import json
import os
import subprocess
import sys

here = os.path.dirname(os.path.abspath(__file__))


def run(command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **options)


def ours(stockade, facts, kind, root, environment):
    done = run([stockade, "scan", "--json", "--kernel-headers", "--db", facts, f"{kind}:{root}"], env=environment)
    report = json.loads(done.stdout)
    return [({f["id"], *f["aliases"], *(a["id"] for a in f["advisories"])}, f["package"]["name"], f["package"]["version"])
            for f in report["findings"] if f["status"] == "affected" and f.get("informational") != "regression"]


def theirs(trivy, cache, kind, root):
    command = [trivy, "--cache-dir", cache, "-q", kind, "--scanners", "vuln", "--offline-scan", "--skip-db-update",
               "--skip-java-db-update", "--skip-version-check", "--format", "json", root]
    done = run(command)
    if done.returncode != 0:
        return None
    found = []
    for result in json.loads(done.stdout).get("Results") or []:
        for v in result.get("Vulnerabilities") or []:
            found.append((v["VulnerabilityID"], v["PkgName"], v["InstalledVersion"]))
    return found


def plain(name, version):
    return name.lower().replace("_", "-").replace(".", "-"), version.lstrip("v")


def main():
    stockade, trivy, roots = sys.argv[1:4]
    facts = sys.argv[4] if len(sys.argv) > 4 else os.path.join(here, "..", "data", "advisories")
    out = os.path.join(roots, "findings")
    os.makedirs(out, exist_ok=True)
    cache = os.path.join(out, "cache")
    subprocess.run([sys.executable, os.path.join(here, "trivy-db.py"), facts, cache], check=True)
    environment = {**os.environ, "STOCKADE_ROOT": os.path.join(out, "root"), "STOCKADE_RUN": os.path.join(out, "run")}
    print(f"{'root':18} {'both':>7} {'ours':>7} {'theirs':>7}")
    for name in sorted(os.listdir(roots)):
        root = os.path.join(roots, name)
        if not os.path.isdir(root) or name in ("findings", "diff") or name.endswith((".new", ".debs")):
            continue
        tree = name.endswith(("-lock", "-locks"))
        mine = ours(stockade, facts, "fs" if tree else "dir", root, environment)
        other = theirs(trivy, cache, "fs" if tree else "rootfs", root)
        if other is None:
            print(f"{name:18} {'-':>7} {len(mine):7} {'failed':>7}")
            continue
        index = {}
        for names, package, version in mine:
            for one in names:
                index.setdefault((one, *plain(package, version)), (names, package, version))
        matched, alone = set(), set()
        for one, package, version in other:
            key = (one, *plain(package, version))
            if key in index:
                matched.add(id(index[key][0]))
            else:
                alone.add((package, version, one))
        own = {(p, v, "/".join(sorted(n)[:3])) for n, p, v in mine if id(n) not in matched}
        # The same finding in several places is one.
        both = {(p, v, min(n)) for n, p, v in mine if id(n) in matched}
        own = {(p, v, n) for p, v, n in own if not any((p, v) == (a, b) and n.split("/")[0] == c for a, b, c in both)}
        print(f"{name:18} {len(both):7} {len(own):7} {len(alone):7}", flush=True)
        for end, items in (("ours", own), ("theirs", alone)):
            with open(os.path.join(out, f"{name}.{end}"), "w", encoding="utf-8") as file:
                file.writelines(f"{' '.join(item)}\n" for item in sorted(items))


main()
