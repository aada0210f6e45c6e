"""Key files: how they are found and opened, and what is said of one that is of no use."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from securesystemslib.signer import Key
from tests.fleet_repository import said
from tuf.api.metadata import Role

from fer_fleet.keys import Keys, make_key, short_id

SECRET = "my secret"  # noqa: S105


def never(name: str) -> str:
    raise AssertionError(f"it asks for the passphrase of {name}")


def role(threshold: int, *keys: Key) -> Role:
    return Role([key.keyid for key in keys], threshold)


def test_a_key_is_a_file_for_its_owner_named_after_role_and_id(tmp_path: Path) -> None:
    key = make_key(tmp_path / "keys", "targets", SECRET)
    (path,) = (tmp_path / "keys").iterdir()
    assert path.name == f"targets-{key.keyid[:12]}.pem"
    assert short_id(key.keyid) == key.keyid[:12]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    plain = make_key(tmp_path / "keys", "snapshot", None)
    content = (tmp_path / "keys" / f"snapshot-{plain.keyid[:12]}.pem").read_bytes()
    assert content.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert plain.keytype == "ed25519"


def test_a_signature_of_a_loaded_key_is_the_keys(tmp_path: Path) -> None:
    key = make_key(tmp_path, "targets", SECRET)
    (signer,) = Keys([tmp_path], lambda _: SECRET).signers("targets", role(1, key))
    key.verify_signature(signer.sign(b"text"), b"text")


def test_as_many_keys_are_loaded_as_have_to_sign_and_each_passphrase_is_asked_for_once(tmp_path: Path) -> None:
    made = [make_key(tmp_path, "root", SECRET) for _ in range(3)]
    asked: list[str] = []

    def ask(name: str) -> str:
        asked.append(name)
        return SECRET

    keys = Keys([tmp_path], ask)
    for _ in range(2):
        signers = keys.signers("root", role(2, *made))
        assert [signer.public_key.keyid for signer in signers] == [key.keyid for key in made[:2]]
    assert asked == [f"root-{made[0].keyid[:12]}.pem"]


def test_a_known_passphrase_is_not_asked_for(tmp_path: Path) -> None:
    """Also where another one is known, and where a key is not encrypted."""
    made = [make_key(tmp_path, "root", SECRET), make_key(tmp_path, "root", "other"), make_key(tmp_path, "root", None)]
    keys = Keys([tmp_path], never)
    keys.know("other")
    keys.know(SECRET)
    assert len(keys.signers("root", role(3, *made))) == 3


def test_a_wrong_passphrase_is_said_with_the_file(tmp_path: Path) -> None:
    key = make_key(tmp_path, "root", SECRET)
    path = tmp_path / f"root-{key.keyid[:12]}.pem"
    for wrong in ("wrong", ""):
        keys = Keys([tmp_path], lambda _, wrong=wrong: wrong)  # type: ignore[misc]
        assert said(lambda keys=keys: keys.signers("root", role(1, key))) == (  # type: ignore[misc]
            f"{path}: the passphrase is wrong"
        )


def test_too_few_keys_are_said_with_the_places_and_the_missing_files(tmp_path: Path) -> None:
    here, stick = tmp_path / "here", tmp_path / "stick"
    there = make_key(here, "root", None)
    away = [make_key(tmp_path / "away", "root", None) for _ in range(2)]
    keys = Keys([here, stick], never)
    names = ", ".join(f"root-{key.keyid[:12]}.pem" for key in away)
    assert said(lambda: keys.signers("root", role(2, away[0], there, away[1]))) == (
        f"root: needs 2 of its keys, and 1 are in {here}, {stick}. Bring one of {names}"
    )
    assert not keys.holds(role(2, there, *away))
    assert keys.holds(role(1, there, *away))


def test_the_first_folder_that_has_a_key_is_used(tmp_path: Path) -> None:
    key = make_key(tmp_path / "one", "root", None)
    for other in ("two", "three"):
        (tmp_path / other).mkdir()
        (tmp_path / other / f"root-{key.keyid[:12]}.pem").write_text("nothing")
    folders = [tmp_path / name for name in ("none", "one", "two")]
    assert Keys(folders, never).signers("root", role(1, key))
    two = Keys([tmp_path / "two", tmp_path / "one"], never)
    assert said(lambda: two.signers("root", role(1, key))).startswith(str(tmp_path / "two"))


def spoil(path: Path, how: str) -> None:
    if how == "no file":
        path.unlink()
        path.mkdir()
    elif how == "no key":
        path.write_text("nothing")
    elif how == "another kind":
        key = generate_private_key(65537, 1024)  # noqa: S505 - quick; nobody trusts it
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    else:
        other = make_key(path.parent / "other", "root", None)
        path.write_bytes((path.parent / "other" / f"root-{other.keyid[:12]}.pem").read_bytes())


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("no file", "cannot be read (Is a directory)"),
        ("no key", "is not a PEM file of a private key"),
        ("another kind", "is not an Ed25519 key"),
        ("another key", "holds another key than its name says. Bring the right file"),
    ],
)
def test_a_file_that_is_of_no_use_is_one_line(tmp_path: Path, how: str, problem: str) -> None:
    key = make_key(tmp_path, "root", None)
    path = tmp_path / f"root-{key.keyid[:12]}.pem"
    spoil(path, how)
    assert said(lambda: Keys([tmp_path], never).signers("root", role(1, key))) == f"{path}: {problem}"


def test_an_encrypted_file_that_was_cut_is_not_a_key(tmp_path: Path) -> None:
    key = make_key(tmp_path, "root", SECRET)
    path = tmp_path / f"root-{key.keyid[:12]}.pem"
    path.write_bytes(path.read_bytes()[:80])
    assert str(path) in said(lambda: Keys([tmp_path], lambda _: SECRET).signers("root", role(1, key)))
