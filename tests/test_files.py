"""Files are written in one step: whatever happens, an old or a new one is there."""

import builtins
import errno
import io
import os
import stat
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from skchaosprune import CompactMLP, to_onnx
from tests.test_compact import make_network

try:
    import resource
except ImportError:  # on Windows
    resource = None

posix = pytest.mark.skipif(
    resource is None, reason="needs limits, forks, links, modes or FIFOs of POSIX"
)

OLD = b"of yesterday"
HAS_PROC = Path("/proc/self/fd").exists()

WRITERS = {
    "save_npz": lambda path: make_network().save_npz(path),
    "to_onnx, method": lambda path: make_network().to_onnx(path),
    "to_onnx, function": lambda path: to_onnx(make_network(), path),
}


@pytest.fixture(params=WRITERS)
def write(request):
    """Write a network to a path."""
    if "onnx" in request.param:
        pytest.importorskip("onnx")
    return WRITERS[request.param]


@pytest.fixture
def old(tmp_path):
    """A path with a file of yesterday."""
    path = tmp_path / "net"
    path.write_bytes(OLD)
    return path


def is_network(content):
    """Tell a whole file of a network from others."""
    if content.startswith(b"PK"):
        with np.load(io.BytesIO(content)) as stored:
            return "data" in stored
    return b"skchaosprune" in content


@contextmanager
def disk_full(n_bytes):
    """Let no file grow beyond some bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def shared_folder():
    """A folder that everybody can write to; the superuser becomes nobody in it."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            if is_root:
                os.seteuid(0)


# What fails or is stopped


@posix
def test_a_full_disk_leaves_the_old_file(old, write):
    with disk_full(100), pytest.raises(OSError) as caught:
        write(old)

    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(old))
    assert old.read_bytes() == OLD
    assert os.listdir(old.parent) == ["net"]


@posix
def test_a_full_disk_leaves_no_new_file(tmp_path, write):
    with disk_full(100), pytest.raises(OSError, match="new.npz"):
        write(tmp_path / "new.npz")

    assert os.listdir(tmp_path) == []


class Halfway(io.FileIO):
    """A file that is stopped after half of what it writes."""

    def write(self, content):
        super().write(content[: len(content) // 2])
        raise KeyboardInterrupt


def stop_at(place, monkeypatch):
    """Let Ctrl-C come while a file is written, sent to the disk or renamed."""

    def stop(*args):
        raise KeyboardInterrupt

    def open_halfway(path, mode="r", *args, **kwargs):
        return Halfway(path, mode.replace("b", "")) if mode in ("wb", "xb") else None

    if place == "write":
        for module in (builtins, io):
            real = module.open
            monkeypatch.setattr(
                module,
                "open",
                lambda *args, real=real: open_halfway(*args) or real(*args),
            )
    else:
        monkeypatch.setattr(os, place, stop)


@pytest.mark.parametrize("place", ["write", "fsync", "replace"])
def test_ctrl_c_leaves_the_old_file(old, write, place):
    with pytest.MonkeyPatch.context() as monkeypatch:
        stop_at(place, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            write(old)

    assert old.read_bytes() == OLD
    assert os.listdir(old.parent) == ["net"]


KILLS = """
import os, random, signal, sys, time
from pathlib import Path
from skchaosprune._files import write_file

path, contents = Path(sys.argv[1]), [letter * 2**23 for letter in (b"a", b"b")]
write_file(path, contents[0])
random.seed(0)
for _ in range(20):
    child = os.fork()
    while child == 0:
        for content in contents:
            write_file(path, content)
    time.sleep(random.uniform(0.0, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert path.read_bytes() in contents
for left in path.parent.glob(".*.tmp"):
    left.unlink()
"""


@posix
def test_a_killed_process_leaves_a_whole_file(tmp_path):
    command = [sys.executable, "-c", KILLS, str(tmp_path / "file")]
    subprocess.run(command, check=True)
    assert os.listdir(tmp_path) == ["file"]


@posix
def test_a_reader_beside_two_writers_finds_a_network(tmp_path):
    path, is_done = tmp_path / "net", threading.Event()
    networks = [make_network((40, 30, 3)), make_network((40, 20, 3))]
    networks[0].save_npz(path)

    def save(network):
        while not is_done.is_set():
            network.save_npz(path)

    writers = [threading.Thread(target=save, args=[each]) for each in networks]
    for writer in writers:
        writer.start()
    try:
        found = [repr(CompactMLP.load_npz(path)) for _ in range(150)]
    finally:
        is_done.set()
        for writer in writers:
            writer.join()

    assert set(found) <= {repr(network) for network in networks}
    assert os.listdir(tmp_path) == ["net"]


# Which file is written


@posix
def test_a_link_stays_a_link(old, write):
    link = old.with_name("link")
    link.symlink_to("net")

    write(link)

    assert link.is_symlink()
    assert is_network(old.read_bytes())
    assert sorted(os.listdir(old.parent)) == ["link", "net"]


@posix
def test_a_link_to_no_file_makes_that_file(tmp_path, write):
    (tmp_path / "folder").mkdir()
    link = tmp_path / "link"
    link.symlink_to(Path("folder", "net"))

    write(link)

    assert link.is_symlink()
    assert is_network((tmp_path / "folder" / "net").read_bytes())
    assert os.listdir(tmp_path / "folder") == ["net"]


@posix
@pytest.mark.parametrize("length", [255, 254])
def test_names_may_be_as_long_as_they_can(tmp_path, write, length):
    path = tmp_path / ("é" * 127 + "z" * (length - 254))

    write(str(path))
    write(path)

    assert is_network(path.read_bytes())
    assert os.listdir(tmp_path) == [path.name]


@posix
def test_a_new_file_has_the_rights_of_other_new_files(tmp_path, write):
    before = os.umask(0o027)
    try:
        write(tmp_path / "net")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "net").stat().st_mode) == 0o640


@posix
@pytest.mark.parametrize("mode", [0o600, 0o664, 0o755])
def test_an_old_file_keeps_its_rights(old, write, mode):
    old.chmod(mode)
    if os.geteuid() == 0:
        os.chown(old, 1234, 4321)
    before = old.stat()

    write(old)

    after = old.stat()
    assert is_network(old.read_bytes())
    assert stat.S_IMODE(after.st_mode) == mode
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)


@posix
def test_a_read_only_file_is_refused(write):
    with shared_folder() as folder:
        old = folder / "net"
        old.write_bytes(OLD)
        old.chmod(0o444)
        with pytest.raises(PermissionError) as caught:
            write(old)

        assert caught.value.filename == str(old)
        assert old.read_bytes() == OLD
        assert os.listdir(folder) == ["net"]


@posix
def test_the_owner_of_a_file_of_others_may_change(write):
    if os.geteuid() != 0:
        pytest.skip("nobody else can make a file of others")
    with shared_folder() as folder:
        os.seteuid(0)
        old = folder / "net"
        old.write_bytes(OLD)
        old.chmod(0o666)
        os.seteuid(65534)

        write(old)

        assert is_network(old.read_bytes())
        assert stat.S_IMODE(old.stat().st_mode) == 0o666


@posix
def test_errors_name_the_path(tmp_path, write):
    missing = tmp_path / "folder" / "net"
    with pytest.raises(FileNotFoundError) as caught:
        write(missing)
    assert caught.value.filename == str(missing)
    with pytest.raises(IsADirectoryError) as caught:
        write(tmp_path)
    assert caught.value.filename == str(tmp_path)
    with shared_folder() as folder:
        folder.joinpath("closed").mkdir(0o500)
        with pytest.raises(PermissionError) as caught:
            write(folder / "closed" / "net")
        assert caught.value.filename == str(folder / "closed" / "net")
        assert "its folder must allow a new file" in str(caught.value)
    for wrong in (5, None, ["net"]):
        with pytest.raises(TypeError, match="os.PathLike"):
            write(wrong)


# What is no regular file is written directly


@posix
def test_a_pipe_stays_a_pipe(tmp_path, write):
    path, received = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: received.append(path.read_bytes()))
    reader.start()

    write(path)

    reader.join()
    assert is_network(received[0])
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


@posix
def test_the_null_device_stays_a_device(write):
    write(os.devnull)

    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


@pytest.mark.skipif(not HAS_PROC, reason="there is no /proc")
def test_descriptors_are_written_by_their_names(tmp_path, write):
    reading, writing = os.pipe()
    write(f"/proc/self/fd/{writing}")
    os.close(writing)
    with open(reading, "rb") as pipe:
        assert is_network(pipe.read())

    with open(tmp_path / "deleted", "w+b") as file:
        os.unlink(file.name)
        write(f"/proc/self/fd/{file.fileno()}")
        assert is_network(file.read())
    assert os.listdir(tmp_path) == []


def test_a_mount_point_is_written_directly(old, write, monkeypatch):
    """A file that is a volume, as of a container, can be written and not replaced."""

    def fail(*args):
        raise OSError(errno.EBUSY, "Device or resource busy")

    inode = old.stat().st_ino
    monkeypatch.setattr(os, "replace", fail)
    write(old)

    assert old.stat().st_ino == inode
    assert is_network(old.read_bytes())
    assert os.listdir(old.parent) == ["net"]


@posix
def test_a_folder_may_be_below_a_private_one(write, monkeypatch):
    with shared_folder() as folder:
        (folder / "private" / "open").mkdir(parents=True)
        monkeypatch.chdir(folder / "private" / "open")
        (folder / "private").chmod(0)
        try:
            write("net")
            content = Path("net").read_bytes()
        finally:
            (folder / "private").chmod(0o700)
            monkeypatch.undo()

    assert is_network(content)


def test_errors_of_what_is_written_directly_name_the_path(write):
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no device that is full")

    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        write("/dev/full")
