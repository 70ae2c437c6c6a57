"""Tokens: signed, bound to their user, and with keys that rotate."""

from __future__ import annotations

import random
import stat
import string
import zlib
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from recsvc.credentials import parse_token_keys
from recsvc.eventlog.event import Arm
from recsvc.experiments.live import MAX_RUNNING
from recsvc.tokens import MAX_CHARACTERS, TEAMS, Mark, Token, TokenInvalid, TokenSigner, load_or_create_key

NOW = 1_790_000_000
OLD, NEW = b"o" * 32, b"n" * 32


PRINT = zlib.crc32(b"item-0") & 0xFFFF
ARMS = (Arm("ranker-7", 3, "treatment", False, True), Arm("digest", 1, "control", True))


def issue(signer: TokenSigner, user_id: str = "u1", experiments: tuple[Arm, ...] = ()) -> str:
    return signer.issue(
        issued=NOW,
        placement="home",
        model_version="20261122T050100Z-3f9ac2",
        user_id=user_id,
        experiments=experiments,
    )


def verify(signer: TokenSigner, text: str, now: float = NOW) -> object:
    return signer.verify(text, now=now, max_age_seconds=3600)


def test_what_was_issued_is_what_is_verified() -> None:
    signer = TokenSigner([NEW])
    token = signer.verify(issue(signer), now=NOW + 10, max_age_seconds=3600)
    assert (token.issued, token.placement, token.model_version) == (NOW, "home", "20261122T050100Z-3f9ac2")
    assert signer.is_of(token, "u1")
    assert not signer.is_of(token, "u2")


def test_experiments_come_back_as_they_were() -> None:
    signer = TokenSigner([NEW])
    text = issue(signer, experiments=ARMS)
    token = signer.verify(text, now=NOW, max_age_seconds=3600)
    assert text.startswith("r2.")
    assert (token.experiments, token.placement) == (ARMS, "home")
    assert signer.is_of(token, "u1")


class TestMarks:
    def marked(self, *marks: tuple[str, Mark]) -> Token:
        signer = TokenSigner([NEW])
        stamp = signer.stamp(placement="home", model_version="m", user_id="u1", experiments=ARMS, marks=marks)
        return signer.verify(stamp.issue(NOW).decode("ascii"), now=NOW, max_age_seconds=60)

    @pytest.mark.parametrize("number", [1, 7, 8, 9, 100])
    def test_teams_come_back_by_item(self, number: int) -> None:
        marks = [(f"item-{i}", Mark(team=TEAMS[i * i % 3 % 2])) for i in range(number)]
        token = self.marked(*marks)
        assert [token.mark_of(item) for item, _ in marks] == [mark for _, mark in marks]
        assert token.experiments == ARMS

    def test_propensities_come_back_within_a_two_thousandth(self) -> None:
        marks = [(f"item-{i}", Mark(propensity=0.7**i)) for i in range(25)]
        token = self.marked(*marks)
        for item, mark in marks:
            found = token.mark_of(item)
            assert found is not None
            assert found.propensity == pytest.approx(mark.propensity, rel=1 / 2048)

    def test_of_an_item_that_is_not_in_the_answer_nothing_is_said(self) -> None:
        assert self.marked(("item-1", Mark(team="a"))).mark_of("item-2") is None

    def test_of_items_that_cannot_be_told_apart_nothing_is_said(self) -> None:
        first = "item-0"
        same = next(f"item-{i}" for i in range(1, 10**6) if zlib.crc32(f"item-{i}".encode()) & 0xFFFF == PRINT)
        assert self.marked((first, Mark(team="a")), (same, Mark(team="b"))).mark_of(first) is None
        assert self.marked((first, Mark(team="a")), (same, Mark(team="a"))).mark_of(first) == Mark(team="a")

    def test_a_list_of_a_hundred_fits_beside_the_most_experiments(self) -> None:
        longest = tuple(Arm(f"{i:048}", 1_000, "v" * 48) for i in range(MAX_RUNNING))
        marks = [(f"item-{i}", Mark(propensity=0.5)) for i in range(100)]
        stamp = TokenSigner([NEW]).stamp(
            placement="batch", model_version="m" * 64, user_id="u1", experiments=longest, marks=marks
        )
        assert len(stamp.issue(NOW)) < MAX_CHARACTERS


def test_tokens_of_the_release_before_stay_valid() -> None:
    """Signed by 0.3.0 with this key."""
    text = "r1.gDuxau25gdd7PDULyJ3OEecLoh8EaG9tZRcyMDI2MTEyMlQwNTAxMDBaLTNmOWFjMg.eyQphh7i_w9oVCZeZhCXvg"
    token = TokenSigner([NEW]).verify(text, now=NOW, max_age_seconds=3600)
    assert (token.placement, token.experiments) == ("home", ())


def test_the_longest_token_is_within_the_limit() -> None:
    longest = tuple(Arm(f"{i:048}", 1_000, "v" * 48) for i in range(MAX_RUNNING))
    assert len(issue(TokenSigner([NEW]), experiments=longest)) < MAX_CHARACTERS


def test_no_mutation_of_a_token_is_valid() -> None:
    signer = TokenSigner([NEW])
    text, chance = issue(signer, experiments=ARMS), random.Random(7)
    characters = string.ascii_letters + string.digits + "-_.="
    for _ in range(10_000):
        mutated = list(text)
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(mutated))
            match chance.randrange(3):
                case 0:
                    mutated[place] = chance.choice(characters)
                case 1:
                    del mutated[place]
                case _:
                    mutated.insert(place, chance.choice(characters))
        if (other := "".join(mutated)) != text:
            with pytest.raises(TokenInvalid):
                verify(signer, other)


def test_two_tokens_of_the_same_answer_differ() -> None:
    signer = TokenSigner([NEW])
    assert issue(signer) != issue(signer)


def test_every_altered_character_is_noticed() -> None:
    signer = TokenSigner([NEW])
    text = issue(signer)
    for place, character in enumerate(text):
        altered = text[:place] + ("A" if character != "A" else "B") + text[place + 1 :]
        with pytest.raises(TokenInvalid):
            verify(signer, altered)


def test_a_key_of_somebody_else_signs_nothing_valid() -> None:
    with pytest.raises(TokenInvalid):
        verify(TokenSigner([NEW]), issue(TokenSigner([OLD])))


def test_rotated_keys_still_verify_and_the_first_one_signs() -> None:
    old, rotated = TokenSigner([OLD]), TokenSigner([NEW, OLD])
    token = rotated.verify(issue(old), now=NOW, max_age_seconds=60)
    assert rotated.is_of(token, "u1")
    with pytest.raises(TokenInvalid):
        verify(old, issue(rotated))


@pytest.mark.parametrize("now", [NOW + 3601, NOW - 61])
def test_expired_and_future_tokens_are_refused(now: float) -> None:
    signer = TokenSigner([NEW])
    with pytest.raises(TokenInvalid, match="expired"):
        verify(signer, issue(signer), now)


@pytest.mark.parametrize("text", ["", "r1.", "r1..", "r1.a.b.c", "r2.AAAA.AAAA", "r1.é.é", "r1.A.A", "x" * 5000])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(TokenInvalid):
        verify(TokenSigner([NEW]), text)


def test_the_user_id_cannot_be_read_from_the_token_without_the_key() -> None:
    token = TokenSigner([NEW]).verify(issue(TokenSigner([NEW])), now=NOW, max_age_seconds=60)
    assert not TokenSigner([OLD]).is_of(token, "u1")


def test_keys_are_parsed_in_order_and_short_ones_refused_by_place() -> None:
    assert parse_token_keys(f"{'a' * 16}, {'b' * 16}\n{'c' * 16}") == (b"a" * 16, b"b" * 16, b"c" * 16)
    with pytest.raises(ValueError, match="key 2 is shorter") as refused:
        parse_token_keys(f"{'a' * 16} secret")
    assert "secret" not in str(refused.value)


class TestKeyFile:
    def test_is_made_once_and_for_its_owner_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "state" / "token.key"
        key = load_or_create_key(path)
        assert len(key) == 32
        assert load_or_create_key(path) == key
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [file.name for file in path.parent.iterdir()] == ["token.key"]

    def test_processes_that_race_agree_on_one(self, tmp_path: Path) -> None:
        paths = [tmp_path / "token.key"] * 16
        with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as processes:
            assert len(set(processes.map(load_or_create_key, paths))) == 1

    @pytest.mark.parametrize("content", [b"", b"not hexadecimal", b"abcd"])
    def test_a_file_that_is_no_key_is_refused_with_the_remedy(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "token.key"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="remove it"):
            load_or_create_key(path)
