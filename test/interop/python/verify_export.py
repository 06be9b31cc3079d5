"""An export verified by code that shares nothing with Purser: RFC 8785 text, HMAC commitments, RFC 6962 root, redactions.

Reads an export of one whole epoch on stdin; writes the number of entries and the root, or ends with what is wrong.
"""

import base64
import hashlib
import hmac
import json
import sys


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def root(leaves):
    if not leaves:
        return sha256()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01", root(leaves[:k]), root(leaves[k:]))


def text(value):
    """RFC 8785 section 3.2.2.2: json.dumps escapes the same characters, but writes DEL and above as they are."""
    return json.dumps(value, ensure_ascii=False)


def canonical(value):
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(text(name) + ":" + canonical(value[name]) for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(one) for one in value) + "]"
    if isinstance(value, bool) or value is None or isinstance(value, (int, str)):
        return text(value)
    raise SystemExit(f"an entry holds {type(value).__name__}")


def uncovered(missing, redactions):
    """The indexes whose text no redaction took. An entry names runs; one of before names a range and a number."""
    for index, detail in redactions:
        for start, end in detail.get("runs", []):
            missing = missing - set(range(max(start, 1), min(end, index)))
    counted = sorted((d["to"], d["from"], i, d["redacted"]) for i, d in redactions if "runs" not in d)
    for end, start, index, number in counted:
        inside = sorted(one for one in missing if max(start, 1) <= one < min(end, index))
        missing = missing - set(inside[:number])
    return sorted(missing)


leaves = []
given = []
missing = set()
redactions = []
epoch = size = None
for line in sys.stdin.buffer:
    item = json.loads(line)
    if "purserExport" in item:
        epoch = item["epoch"]
        size = int(item["checkpoint"].split("\n")[1])
        signed = base64.b64decode(item["checkpoint"].split("\n")[2])
    elif "hashes" in item:
        hashes = base64.b64decode(item["hashes"])
        given += [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
    elif item.get("redacted"):
        missing.add(item["index"])
        leaves.append(given[item["index"]])
    else:
        entry = item["entry"]
        value = json.loads(entry)
        if canonical(value) != entry:
            raise SystemExit(f"entry {item['index']} is not canonical")
        commitment = hmac.new(base64.b64decode(item["nonce"]), entry.encode(), hashlib.sha256).digest()
        leaves.append(sha256(b"\x00", commitment))
        if value["action"] == "log.redact" and value["outcome"] == "granted" and value["detail"]["epoch"] == epoch:
            redactions.append((item["index"], value["detail"]))
if leaves != given or len(leaves) != size or root(leaves) != signed:
    raise SystemExit("the entries do not lead to the signed root")
removed = uncovered(missing, redactions)
if removed:
    raise SystemExit(f"no redaction covers {removed}")
print(json.dumps({"entries": len(leaves), "root": base64.b64encode(signed).decode()}))
