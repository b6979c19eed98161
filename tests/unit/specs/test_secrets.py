import os
import stat
from pathlib import Path

import pytest

from ptbridge.errors import ConfigError
from ptbridge.specs.secrets import is_reference, resolve

VALUE = "s3cr3t-value-never-shown"


def write(path: Path, text: str = VALUE, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def refused(reference: str, base: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve(reference, base=base)
    assert VALUE not in str(caught.value)
    assert VALUE not in repr(caught.value)
    return str(caught.value)


def test_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PTB_TEST_SECRET", VALUE)
    assert resolve("env:PTB_TEST_SECRET", base=tmp_path) == VALUE
    monkeypatch.delenv("PTB_TEST_SECRET")
    assert "PTB_TEST_SECRET is not set" in refused("env:PTB_TEST_SECRET", tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"), [(VALUE, VALUE), (f"{VALUE}\n", VALUE), (f"{VALUE}\r\n", VALUE), ("a\nb\n", "a\nb")]
)
def test_file_loses_its_one_line_end(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "token").write_bytes(text.encode())
    (tmp_path / "token").chmod(0o600)
    assert resolve("file:token", base=tmp_path) == expected


def test_absolute_path(tmp_path: Path) -> None:
    assert resolve(f"file:{write(tmp_path / 'token')}", base=Path("/nowhere")) == VALUE


@pytest.mark.parametrize("bit", [stat.S_IRGRP, stat.S_IWGRP, stat.S_IXGRP, stat.S_IROTH, stat.S_IWOTH, stat.S_IXOTH])
def test_each_group_and_other_bit_is_refused(tmp_path: Path, bit: int) -> None:
    write(tmp_path / "token", mode=0o600 | bit)
    assert "chmod 600" in refused("file:token", tmp_path)


def test_the_bits_that_count_are_those_of_the_file_behind_a_link(tmp_path: Path) -> None:
    write(tmp_path / "open", mode=0o644)
    (tmp_path / "link").symlink_to("open")
    assert "mode 0644" in refused("file:link", tmp_path)
    (tmp_path / "open").chmod(0o600)
    assert resolve("file:link", base=tmp_path) == VALUE


def test_loop_of_links(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert "symbolic links" in refused("file:a", tmp_path)


def test_odd_files(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    write(tmp_path / "empty", " \n")
    write(tmp_path / "large", VALUE * 10_000)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe" + VALUE.encode())
    (tmp_path / "bytes").chmod(0o600)
    assert "regular file" in refused("file:folder", tmp_path)
    assert "regular file" in refused("file:pipe", tmp_path)
    assert "empty" in refused("file:empty", tmp_path)
    assert "larger" in refused("file:large", tmp_path)
    assert "UTF-8" in refused("file:bytes", tmp_path)
    assert "No such file" in refused("file:absent", tmp_path)


@pytest.mark.parametrize(
    "literal",
    [VALUE, f"env:{VALUE}", f"password:{VALUE}", "", "env:", "file:", f"-----BEGIN KEY-----\n{VALUE}", f"keyring:{VALUE}"],
)
def test_a_literal_secret_is_refused_without_being_repeated(tmp_path: Path, literal: str) -> None:
    assert not is_reference(literal)
    assert "not a reference to a secret" in refused(literal, tmp_path)


def test_keyring_without_the_package_says_what_to_install(tmp_path: Path) -> None:
    try:
        import keyring  # noqa: F401
    except ImportError:
        assert "pip install" in refused("keyring:ptbridge/emr", tmp_path)
    else:
        pytest.skip("keyring is installed here")
