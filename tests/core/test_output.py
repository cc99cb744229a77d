"""A file is replaced in one step; what is no file is written to."""

from __future__ import annotations

import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from waybill.core.output import writing


def write(path: Path | str, data: bytes = b"new") -> None:
    with writing(str(path)) as file:
        file.write(data)


def test_a_new_file_has_the_mode_that_others_would_have(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write(tmp_path / "a")
    finally:
        os.umask(old)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o640, 0o755])
def test_a_file_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(mode)
    write(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode


@pytest.mark.parametrize("hops", [1, 3])
@pytest.mark.parametrize("is_dangling", [False, True])
def test_a_link_is_written_through(tmp_path: Path, hops: int, is_dangling: bool) -> None:
    real = tmp_path / "real"
    if not is_dangling:
        real.write_bytes(b"old")
    for hop in range(hops):
        (tmp_path / f"link{hop}").symlink_to(f"link{hop - 1}" if hop else "real")
    write(tmp_path / f"link{hops - 1}")
    assert (tmp_path / f"link{hops - 1}").is_symlink()
    assert real.read_bytes() == b"new"


@pytest.mark.parametrize("is_linked", [False, True])
def test_a_pipe_stays_one(tmp_path: Path, is_linked: bool) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write(tmp_path / ("link" if is_linked else "pipe"))
    reader.join()
    assert found == [b"new"]
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]


def test_a_device_stays_one() -> None:
    write("/dev/null")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("folder", ["/dev/fd", "/proc/self/fd"])
def test_a_descriptor_is_written_where_it_stands(tmp_path: Path, folder: str) -> None:
    one, other = os.pipe()
    write(f"{folder}/{other}")
    assert os.read(one, 10) == b"new"
    os.close(one)
    os.close(other)
    left, right = socket.socketpair()
    with left, right:
        write(f"{folder}/{left.fileno()}")
        assert right.recv(10) == b"new"
    with (tmp_path / "appended").open("ab") as file:
        file.write(b"old, ")
        file.flush()
        write(f"{folder}/{file.fileno()}")
    assert (tmp_path / "appended").read_bytes() == b"old, new"


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def fail() -> None:
        with writing(str(tmp_path / "a")) as file:
            file.write(b"half")
            raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        fail()
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_is_no_target(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        write(tmp_path)
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "none" / "a")


def test_a_folder_that_takes_no_file_is_said_of_the_output_that_was_named() -> None:
    told = "its folder takes no new file"
    with pytest.raises(OSError, match=told) as caught, writing("/proc/labelled.csv"):
        pass
    assert caught.value.filename == "/proc/labelled.csv"
