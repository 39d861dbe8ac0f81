"""An OCI image layout made by ourselves: layers as lists of tar entries.

As a program: oci.py LAYOUT PROGRAM...: a layout whose image holds these programs of this host with the libraries they
need, a shell among them as /bin/sh, and /etc/made-from, which a second layer writes."""
import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile


def entry(name, data=b"", mode=0o644, kind=tarfile.REGTYPE, target=""):
    """(TarInfo, bytes) of one entry."""
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.linkname, info.size = mode, kind, target, len(data)
    return info, data


def layer(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def put_blob(layout, data, kind):
    digest = hashlib.sha256(data).hexdigest()
    folder = os.path.join(layout, "blobs", "sha256")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, digest), "wb") as f:
        f.write(data)
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}


def make_layout(layout, layers, tag="latest", packed=True):
    """OCI image specification 1.1: oci-layout, index.json, blobs."""
    blobs = [put_blob(layout, gzip.compress(data, 1) if packed else data,
                      "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if packed else "")) for data in layers]
    config = put_blob(layout, json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {
        "type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(data).hexdigest() for data in layers]}}).encode(),
        "application/vnd.oci.image.config.v1+json")
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = put_blob(layout, json.dumps({"schemaVersion": 2, "mediaType": kind, "config": config,
                                            "layers": blobs}).encode(), kind)
    manifest["annotations"] = {"org.opencontainers.image.ref.name": tag}
    with open(os.path.join(layout, "index.json"), "w", encoding="utf-8") as f:
        json.dump({"schemaVersion": 2, "manifests": [manifest]}, f)
    with open(os.path.join(layout, "oci-layout"), "w", encoding="utf-8") as f:
        json.dump({"imageLayoutVersion": "1.0.0"}, f)


def libraries(program):
    done = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return set(re.findall(r"(/[^ ]+) \(0x", done.stdout))


def host_layer(programs):
    """Programs and their libraries in the form of a system with merged /usr."""
    entries = [entry(d, mode=0o755, kind=tarfile.DIRTYPE) for d in ("usr", "usr/bin", "usr/lib", "usr/lib64", "etc")]
    entries += [entry(n, kind=tarfile.SYMTYPE, target=f"usr/{n}") for n in ("bin", "lib", "lib64")]
    needed = set()
    for program in programs:
        needed |= libraries(program)
        if program.startswith(("/bin/", "/usr/bin/")):
            with open(program, "rb") as f:
                entries.append(entry("usr/bin/" + os.path.basename(program), f.read(), 0o755))
    for library in sorted(needed):
        with open(library, "rb") as f:
            entries.append(entry(library.lstrip("/"), f.read(), 0o755))
    return layer(entries)


if __name__ == "__main__":
    make_layout(sys.argv[1], [host_layer(sys.argv[2:]), layer([entry("etc/made-from", b"two layers\n")])])
