"""Downloads from local servers: complete, cut, without Range, with errors, of another file."""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.dataset.layouts import write_layout, write_zip
from tinynet.dataset import download as download_module
from tinynet.dataset.download import download, fetch
from tinynet.dataset.tiny_imagenet import TinyImagenet
from tinynet.errors import TinynetError


class Server(ThreadingHTTPServer):
    """Serves ``content`` under every path, with the faults that a test sets."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.content = b""
        self.has_range = True
        self.sends_length = True
        self.cut_after: list[int] = []  # bytes of the body sent before each cut, then whole
        self.statuses: list[int] = []  # instead of an answer, first come first served
        self.requests: list[str | None] = []  # the Range header of each

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # clients that go away are part of the tests

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/files/small.zip"

    @property
    def md5(self) -> str:
        return hashlib.md5(self.content).hexdigest()


class Answer(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers["Range"]
        server.requests.append(wanted)
        if server.statuses:
            self.send_error(server.statuses.pop(0))
            return
        body, size = server.content, len(server.content)
        if wanted and server.has_range:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])  # type: ignore[index]
            if start >= size:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = body[start:]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        else:
            self.send_response(200)
        if server.sends_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.cut_after:
            self.wfile.write(body[: server.cut_after.pop(0)])
            self.close_connection = True
        else:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server()
    source = write_layout(tmp_path / "source" / "small")
    server.content = write_zip(source, tmp_path / "source" / "small.zip").read_bytes()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def get(server: Server, out: Path, md5: str | None = None, **options: bool) -> Path:
    return fetch(out, url=server.url, md5=md5 or server.md5, pause=0, **options)[1]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_zip_is_downloaded_and_unpacked(server: Server, tmp_path: Path) -> None:
    folder = get(server, tmp_path / "data")
    assert names(tmp_path / "data") == {"small.zip", "small"}
    assert (tmp_path / "data" / "small.zip").read_bytes() == server.content
    with TinyImagenet(folder) as found, TinyImagenet(tmp_path / "source" / "small") as source:
        assert found.images == source.images
        for image in source.images["train"]:
            assert found.files.read(image.path) == source.files.read(image.path)
    assert server.requests == [None]


def test_a_download_resumes_where_the_connection_was_cut(server: Server, tmp_path: Path) -> None:
    server.cut_after = [5000, 700]
    get(server, tmp_path / "data")
    assert server.requests == [None, "bytes=5000-", "bytes=5700-"]


def test_a_cut_download_starts_again_from_a_server_without_range(
    server: Server, tmp_path: Path
) -> None:
    server.has_range = False
    server.cut_after = [5000]
    get(server, tmp_path / "data")
    assert server.requests == [None, "bytes=5000-"]
    assert (tmp_path / "data" / "small.zip").read_bytes() == server.content


def test_without_a_content_length_the_checksum_decides(server: Server, tmp_path: Path) -> None:
    server.sends_length = False
    get(server, tmp_path / "data")
    server.cut_after = [5000]
    with pytest.raises(TinynetError, match="has the MD5"):
        get(server, tmp_path / "other")


def test_a_later_command_resumes_a_partial_download(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "small.zip.part").write_bytes(server.content[:1234])
    get(server, tmp_path / "data")
    assert server.requests == ["bytes=1234-"]


@pytest.mark.parametrize("extra", [b"", b"more"])
def test_a_part_file_that_is_complete_or_too_long_does_not_block_a_download(
    server: Server, tmp_path: Path, extra: bytes
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "small.zip.part").write_bytes(server.content + extra)
    get(server, tmp_path / "data")
    assert (tmp_path / "data" / "small.zip").read_bytes() == server.content


def test_a_wrong_checksum_is_refused_and_the_file_removed(server: Server, tmp_path: Path) -> None:
    with pytest.raises(TinynetError, match=f"has the MD5 {server.md5}, not {'0' * 32}"):
        get(server, tmp_path / "data", md5="0" * 32)
    assert names(tmp_path / "data") == set()


def test_a_part_of_another_file_is_refused_and_then_replaced(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "small.zip.part").write_bytes(b"x" * 1234)
    with pytest.raises(TinynetError, match="has the MD5"):
        get(server, tmp_path / "data")
    get(server, tmp_path / "data")
    assert server.requests == ["bytes=1234-", None]


def test_a_busy_server_is_retried(server: Server, tmp_path: Path) -> None:
    server.statuses = [503, 500, 429]
    get(server, tmp_path / "data")
    assert len(server.requests) == 4


def test_a_server_that_keeps_failing_ends_in_one_line(server: Server, tmp_path: Path) -> None:
    server.statuses = [503] * 20
    with pytest.raises(TinynetError, match="failed 5 times in a row: 503 Service Unavailable"):
        get(server, tmp_path / "data")
    server.statuses = [404]
    with pytest.raises(TinynetError, match="the server answers 404 Not Found"):
        get(server, tmp_path / "data")


def test_an_unreachable_server_ends_in_one_line(server: Server, tmp_path: Path) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(TinynetError, match="failed 5 times in a row: .*refused"):
        get(server, tmp_path / "data")


def test_a_zip_that_is_there_already_is_not_downloaded_again(
    server: Server, tmp_path: Path
) -> None:
    folder = get(server, tmp_path / "data")
    shutil.rmtree(folder)
    get(server, tmp_path / "data")
    assert len(server.requests) == 1 and folder.is_dir()


def test_an_existing_folder_is_kept_without_overwrite(server: Server, tmp_path: Path) -> None:
    folder = get(server, tmp_path / "data")
    (folder / "words.txt").unlink()
    with pytest.raises(TinynetError, match="small: exists; pass --overwrite"):
        get(server, tmp_path / "data")
    assert not (folder / "words.txt").exists() and len(server.requests) == 1
    get(server, tmp_path / "data", overwrite=True)
    assert (folder / "words.txt").exists()


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd.zip", "http://x/no", "small.zip", "ftp://x/a.zip"]
)
def test_only_http_addresses_of_zips_are_accepted(tmp_path: Path, url: str) -> None:
    with pytest.raises(TinynetError, match="is not the http or https address"):
        fetch(tmp_path, url=url)


def test_a_full_device_is_not_taken_for_a_cut_connection(server: Server, tmp_path: Path) -> None:
    with pytest.raises(OSError) as error:
        download(server.url, FullDevice(tmp_path / "small.zip"), server.md5, pause=0)
    assert error.value.strerror == "No space left on device"
    assert len(server.requests) == 1


class FullDevice(type(Path())):  # type: ignore[misc]
    """A path whose .part is the device that is always full."""

    def with_name(self, name: str) -> Path:
        return Path("/dev/full")


def no_data_set(path: Path) -> Path:
    (path.parent / "empty").mkdir()
    (path.parent / "empty" / "readme.txt").touch()
    return write_zip(path.parent / "empty", path)


def unsafe(path: Path) -> Path:
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("small/wnids.txt", "n01\n")
        archive.writestr("../escaped", "gotcha")
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [(no_data_set, "holds no wnids.txt"), (unsafe, "'../escaped' leads outside")],
)
def test_a_zip_that_cannot_be_unpacked_leaves_no_folder(
    server: Server, tmp_path: Path, make: Callable[[Path], Path], message: str
) -> None:
    server.content = make(tmp_path / "bad.zip").read_bytes()
    with pytest.raises(TinynetError, match=message):
        get(server, tmp_path / "data")
    assert names(tmp_path / "data") == {"small.zip"}
    assert not (tmp_path / "escaped").exists()


def test_a_zip_damaged_inside_leaves_no_folder(server: Server, tmp_path: Path) -> None:
    inside = (tmp_path / "source" / "small" / "val" / "images" / "val_1.JPEG").read_bytes()
    server.content = server.content.replace(inside, inside[:-20] + bytes(20))
    with pytest.raises(TinynetError, match=r"val_1\.JPEG: damaged in the zip"):
        get(server, tmp_path / "data")
    assert names(tmp_path / "data") == {"small.zip"}


def test_too_little_space_to_unpack_is_reported_before_unpacking(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(TinynetError, match="small: no space left: unpacking needs"):
        get(server, tmp_path / "data")
    assert names(tmp_path / "data") == {"small.zip"}


def test_the_official_archive_is_the_default() -> None:
    assert download_module.URL == "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
    assert download_module.MD5 == "90528d7ca1a48142e341f4ef8d21d0de"
