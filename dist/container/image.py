"""Makes the archives of dist/container: a root file system and an image of it.

    image.py image BINARY OCI_ARCH OUTDIR
    image.py index IMAGE... OUTDIR

An image archive is an OCI layout with Docker's manifest.json beside it, so that
every engine loads the same file. Nothing in it depends on the machine or the
hour; the layer is not compressed, as its name is the hash of its bytes.
"""

import datetime
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.dont_write_bytecode = True

import crates  # noqa: E402

USER = 65532
PROGRAM = f"usr/bin/{crates.PROGRAM}"
CONFIG = f"etc/{crates.PROGRAM}.toml"
# No shell and no home: these two files only give the number a name.
PASSWD = f"root:x:0:0:root:/:/\nddns:x:{USER}:{USER}:{crates.PROGRAM}:/:/\n"
GROUP = f"root:x:0:\nddns:x:{USER}:\n"
# Of a duration in JSON.
SECOND = 10**9
OCI = "application/vnd.oci.image"


def main():
    match sys.argv[1:]:
        case ["image", binary, architecture, outdir]:
            image(Path(binary), architecture, Path(outdir))
        case ["index", *images, outdir] if images:
            index([Path(name) for name in images], Path(outdir))
        case _:
            crates.stop("usage: image.py image BINARY OCI_ARCH OUTDIR | image.py index IMAGE... OUTDIR")


def image(binary, architecture, outdir):
    """One architecture: the plain root file system, and the image that every engine loads."""
    outdir.mkdir(parents=True, exist_ok=True)
    layer = root_file_system(binary.read_bytes())
    named = f"{crates.PROGRAM}-{crates.version()}"
    word = architecture.replace("/", "")
    report(outdir / f"{named}-rootfs-{word}.tar", layer)
    report(outdir / f"{named}-image-{word}.tar", archive(*contents(layer, architecture)))


def contents(layer, architecture):
    """The blobs of an image, the descriptor of its manifest, and Docker's list."""
    blobs = {}
    settings = add(blobs, as_json(configuration(layer, platform(architecture))))
    content = add(blobs, layer)
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{OCI}.manifest.v1+json",
        "config": {"mediaType": f"{OCI}.config.v1+json", **settings},
        "layers": [{"mediaType": f"{OCI}.layer.v1.tar", **content}],
        "annotations": labels(),
    }
    tag = f"{crates.PROGRAM}:{crates.version()}"
    described = {"mediaType": manifest["mediaType"], **add(blobs, as_json(manifest)), "platform": platform(architecture)}
    docker = [{"Config": path(settings), "RepoTags": [tag], "Layers": [path(content)]}]
    return blobs, described, docker


def index(images, outdir):
    """Several architectures as one image, for a registry: the engine takes its own."""
    blobs, manifests = {}, []
    for name in images:
        with tarfile.open(name) as kept:
            found = {member.name: kept.extractfile(member).read() for member in kept if member.isfile()}
        blobs |= {key: value for key, value in found.items() if key.startswith("blobs/")}
        manifests += [without_name(row) for row in json.loads(found["index.json"])["manifests"]]
    manifests.sort(key=lambda row: json.dumps(row["platform"], sort_keys=True))
    whole = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": manifests}
    described = {"mediaType": whole["mediaType"], **add(blobs, as_json(whole))}
    outdir.mkdir(parents=True, exist_ok=True)
    report(outdir / f"{crates.PROGRAM}-{crates.version()}-image-all.tar", archive(blobs, described, None))


def without_name(row):
    return {key: value for key, value in row.items() if key != "annotations"}


# -- the root file system ---------------------------------------------------


def root_file_system(program):
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, mode, owner in [("data", 0o700, USER), ("etc", 0o755, 0), ("usr", 0o755, 0), ("usr/bin", 0o755, 0)]:
            tar.addfile(entry(name, mode, owner, tarfile.DIRTYPE))
        for name, mode, text in [
            ("etc/group", 0o644, GROUP.encode()),
            ("etc/passwd", 0o644, PASSWD.encode()),
            (PROGRAM, 0o755, program),
        ]:
            put(tar, entry(name, mode, 0, tarfile.REGTYPE), text)
    return output.getvalue()


def entry(name, mode, owner, kind):
    info = tarfile.TarInfo(name)
    info.mode, info.uid, info.gid, info.type, info.mtime = mode, owner, owner, kind, crates.source_date()
    return info


def put(tar, info, content):
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


# -- the image ----------------------------------------------------------------


def configuration(layer, runs_on):
    return {
        **runs_on,
        "created": created(),
        "config": {
            "User": f"{USER}:{USER}",
            # The only folder that can be written to, whatever the engine does about /run.
            "Env": ["RUNTIME_DIRECTORY=/data", "STATE_DIRECTORY=/data"],
            "Entrypoint": [f"/{PROGRAM}"],
            "Cmd": [f"/{CONFIG}"],
            "Healthcheck": {
                "Test": ["CMD", f"/{PROGRAM}", "status", "--alive"],
                **{"Interval": 60 * SECOND, "Timeout": 10 * SECOND, "StartPeriod": 30 * SECOND, "Retries": 3},
            },
            "WorkingDir": "/",
            "Volumes": {"/data": {}},
            "Labels": labels(),
        },
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        "history": [{"created": created(), "created_by": "dist/container/build-image"}],
    }


def labels():
    known = {
        "title": crates.PROGRAM,
        "version": crates.version(),
        "licenses": "MIT",
        "created": created(),
    }
    return {f"org.opencontainers.image.{name}": value for name, value in known.items()}


def created():
    date = datetime.datetime.fromtimestamp(crates.source_date(), datetime.UTC)
    return date.strftime("%Y-%m-%dT%H:%M:%SZ")


def platform(architecture):
    """`arm/v7` is an architecture with a variant."""
    name, _, variant = architecture.partition("/")
    return {"architecture": name, "os": "linux", **({"variant": variant} if variant else {})}


def archive(blobs, described, docker):
    version = crates.version()
    named = {"io.containerd.image.name": f"docker.io/library/{crates.PROGRAM}:{version}", "org.opencontainers.image.ref.name": version}
    files = {
        **blobs,
        "index.json": as_json({"schemaVersion": 2, "manifests": [{**described, "annotations": named}]}),
        "oci-layout": as_json({"imageLayoutVersion": "1.0.0"}),
    }
    if docker:
        files["manifest.json"] = as_json(docker)
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for folder in ("blobs", "blobs/sha256"):
            tar.addfile(entry(folder, 0o755, 0, tarfile.DIRTYPE))
        for name in sorted(files):
            put(tar, entry(name, 0o644, 0, tarfile.REGTYPE), files[name])
    return output.getvalue()


def add(blobs, content):
    described = {"digest": digest(content), "size": len(content)}
    blobs[path(described)] = content
    return described


def path(described):
    return "blobs/" + described["digest"].replace(":", "/")


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def as_json(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def report(name, content):
    name.write_bytes(content)
    print(f"{name} {len(content)} bytes")


main()
