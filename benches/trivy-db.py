#!/usr/bin/env python3
"""Makes a database for Trivy (trivy-db, schema 2) of the OSV archives in a directory, so that Trivy and Stockade judge by
the same facts: trivy-db.py ADVISORIES CACHE-DIRECTORY; then `trivy --cache-dir CACHE-DIRECTORY --skip-db-update …`.

The file is a bbolt database (one writer, copy-on-write B+ tree; the layout is that of go.etcd.io/bbolt: two meta pages,
a freelist, and here one leaf page, however long, a bucket). Nothing is balanced: it is written once and only read."""

import datetime
import json
import os
import re
import struct
import sys
import zipfile
from collections import defaultdict

PAGE = 4096
MOST = 60000  # elements of a leaf: their count has 16 bits
LEAF, BRANCH, META, FREELIST = 0x02, 0x01, 0x04, 0x10


class Writer:
    """Pages of a bbolt file; the first four are for the two meta pages, the freelist and nothing."""

    def __init__(self):
        self.pages = bytearray(4 * PAGE)

    def put(self, flags, elements, bodies):
        page = len(self.pages) // PAGE
        size = 16 + 16 * len(elements) + sum(map(len, bodies))
        count = -(-size // PAGE)
        out = bytearray(struct.pack("<QHHI", page, flags, len(elements), count - 1))
        for element in elements:
            out += element
        for body in bodies:
            out += body
        self.pages += out.ljust(count * PAGE, b"\0")
        return page

    def leaf(self, items):
        """Items: key, value, whether the value is a bucket; sorted by key."""
        elements, bodies, at = [], [], 16 * len(items)
        for index, (key, value, bucket) in enumerate(items):
            elements.append(struct.pack("<IIII", int(bucket), at - 16 * index, len(key), len(value)))
            bodies.append(key + value)
            at += len(key) + len(value)
        return self.put(LEAF, elements, bodies)

    def tree(self, items):
        parts = [items[i : i + MOST] for i in range(0, len(items), MOST)] or [[]]
        roots = [(part[0][0] if part else b"", self.leaf(part)) for part in parts]
        if len(roots) == 1:
            return roots[0][1]
        elements, bodies, at = [], [], 16 * len(roots)
        for index, (key, page) in enumerate(roots):
            elements.append(struct.pack("<IIQ", at - 16 * index, len(key), page))
            bodies.append(key)
            at += len(key)
        return self.put(BRANCH, elements, bodies)

    def bucket(self, content):
        """The page of a bucket: a dictionary of values (bytes) and buckets (dictionaries)."""
        items = []
        for key in sorted(content, key=str.encode):
            value = content[key]
            if isinstance(value, dict):
                items.append((key.encode(), self.inline(value), True))
            else:
                items.append((key.encode(), value, False))
        return self.tree(items)

    def inline(self, content):
        """The value of a bucket within another: its page, or small ones as they are."""
        if all(isinstance(v, bytes) for v in content.values()):
            items = [(k.encode(), content[k], False) for k in sorted(content, key=str.encode)]
            if 16 + sum(16 + len(k) + len(v) for k, v, _ in items) <= PAGE // 4:
                out, body, at = bytearray(struct.pack("<QHHI", 0, LEAF, len(items), 0)), b"", 16 * len(items)
                for index, (key, value, _) in enumerate(items):
                    out += struct.pack("<IIII", 0, at - 16 * index, len(key), len(value))
                    body += key + value
                    at += len(key) + len(value)
                return struct.pack("<QQ", 0, 0) + bytes(out) + body
        return struct.pack("<QQ", self.bucket(content), 0)

    def write(self, path, content):
        root = self.bucket(content)
        for number in (0, 1):
            meta = struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, PAGE, 0, root, 0, 2, len(self.pages) // PAGE, number)
            check = 0xCBF29CE484222325
            for byte in meta:
                check = ((check ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
            page = struct.pack("<QHHI", number, META, 0, 0) + meta + struct.pack("<Q", check)
            self.pages[number * PAGE : number * PAGE + len(page)] = page
        # Page 3 is empty and free.
        self.pages[2 * PAGE : 2 * PAGE + 24] = struct.pack("<QHHIQ", 2, FREELIST, 1, 0, 3)
        with open(path, "wb") as out:
            out.write(self.pages)


LANGUAGES = {"npm": "npm", "PyPI": "pip", "RubyGems": "rubygems", "crates.io": "cargo", "Packagist": "composer", "Go": "go",
             "Maven": "maven", "NuGet": "nuget"}


def normal(ecosystem, name):
    return re.sub(r"[-_.]+", "-", name).lower() if ecosystem == "pip" else name


def ids(record, distribution):
    """The vulnerabilities that a record is about, as both scanners name them: CVEs, where there are any."""
    named = record.get("upstream", []) + ([] if distribution else record.get("aliases", []))
    cves = [i for i in named if i.startswith("CVE-")]
    if distribution:
        return cves or [record["id"]]
    return sorted(cves)[:1] or [record["id"]]


def ranges(affected):
    """Constraints and fixes of an OSV entry, in Trivy's words."""
    vulnerable, patched = [], []
    for span in affected.get("ranges", []):
        if span.get("type") == "GIT":
            continue
        start = None
        for event in span.get("events", []):
            if "introduced" in event:
                start = event["introduced"]
                continue
            end = ("<", event["fixed"]) if "fixed" in event else ("<=", event["last_affected"]) if "last_affected" in event else None
            if end is None or start is None:
                continue
            vulnerable.append(("" if start == "0" else f">={start}, ") + end[0] + end[1])
            patched += [event["fixed"]] if "fixed" in event else []
            start = None
        if start is not None:
            vulnerable.append(">=0" if start == "0" else f">={start}")
    vulnerable += ["=" + v for v in affected.get("versions", [])] if not vulnerable else []
    return vulnerable, patched


def main():
    source, cache = sys.argv[1:]
    content = defaultdict(lambda: defaultdict(dict))
    known, count = {}, 0
    for name in sorted(os.listdir(source)):
        if not name.endswith(".zip"):
            continue
        with zipfile.ZipFile(os.path.join(source, name)) as archive:
            for entry in archive.namelist():
                if not entry.endswith(".json"):
                    continue
                record = json.loads(archive.read(entry))
                if record.get("withdrawn"):
                    continue
                for affected in record.get("affected", []):
                    package = affected.get("package", {})
                    ecosystem, _, release = package.get("ecosystem", "").partition(":")
                    if ecosystem == "Debian" and release:
                        bucket = f"debian {release}"
                        fixes = [e["fixed"] for r in affected.get("ranges", []) for e in r.get("events", []) if "fixed" in e]
                        advisory = {"FixedVersion": fixes[-1]} if fixes else {"Status": 2}
                        target = package["name"]
                    elif ecosystem in LANGUAGES:
                        bucket = f"{LANGUAGES[ecosystem]}::OSV"
                        vulnerable, patched = ranges(affected)
                        advisory = {"VulnerableVersions": vulnerable, "PatchedVersions": patched}
                        target = normal(LANGUAGES[ecosystem], package["name"])
                    else:
                        continue
                    for one in ids(record, ecosystem == "Debian"):
                        known[one] = json.dumps({"Title": one, "Severity": "MEDIUM"}).encode()
                        place = content[bucket][target]
                        old = json.loads(place[one]) if one in place else None
                        if old and "VulnerableVersions" in old:
                            old["VulnerableVersions"] += advisory["VulnerableVersions"]
                            old["PatchedVersions"] += advisory["PatchedVersions"]
                            place[one] = json.dumps(old).encode()
                        else:
                            # Of two updates of a distribution the archive's own facts come last in the alphabet of files.
                            place[one] = json.dumps(advisory).encode()
                        count += 1
    content = {bucket: {p: dict(v) for p, v in packages.items()} for bucket, packages in content.items()}
    sources = {b: json.dumps({"ID": "osv", "Name": "OSV", "URL": "https://osv.dev"}).encode() for b in content}
    content["data-source"] = sources
    content["vulnerability"] = known
    os.makedirs(os.path.join(cache, "db"), exist_ok=True)
    Writer().write(os.path.join(cache, "db", "trivy.db"), content)
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    stamp = lambda t: t.strftime("%Y-%m-%dT%H:%M:%SZ")
    with open(os.path.join(cache, "db", "metadata.json"), "w") as out:
        json.dump({"Version": 2, "NextUpdate": stamp(now + day), "UpdatedAt": stamp(now), "DownloadedAt": stamp(now)}, out)
    print(f"{count} statements about {len(known)} vulnerabilities in {len(content) - 2} buckets")


main()
