from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from recsvc.settings import OTHER_VARIABLES, Settings, SettingsInvalid, load_settings

KEY = "0123456789abcdef"


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(environ)
    return caught.value.problems


@pytest.fixture(autouse=True)
def _no_variables_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(f"RECSVC_{field.upper()}", raising=False)


class TestValues:
    def test_nothing_set_is_a_service_on_loopback(self) -> None:
        settings = load_settings({})
        assert (settings.host, settings.port, settings.workers, settings.redis_url) == ("127.0.0.1", 8000, 1, None)

    def test_variables_become_typed_values(self) -> None:
        settings = load_settings(
            {
                "RECSVC_PORT": "8123",
                "RECSVC_MODELS_DIR": "/models",
                "RECSVC_CHAMPION_POLL_SECONDS": "0.25",
                "RECSVC_CORS_ORIGINS": "https://a.example, http://localhost:3000",
                "RECSVC_LOG_LEVEL": "WARNING",
                "RECSVC_REDIS_URL": "redis://cache:6379/1",
            }
        )
        assert settings.port == 8123
        assert settings.models_dir == Path("/models")
        assert settings.champion_poll_seconds == 0.25
        assert settings.cors_origins == ("https://a.example", "http://localhost:3000")
        assert settings.log_level == "warning"
        assert settings.redis_url == "redis://cache:6379/1"

    def test_a_variable_set_to_nothing_is_not_set(self) -> None:
        assert load_settings({"RECSVC_PORT": "", "RECSVC_REDIS_URL": "", "RECSVC_API_KEYS": ""}).port == 8000

    def test_they_are_frozen(self) -> None:
        with pytest.raises(ValidationError):
            load_settings({}).port = 1

    def test_fields_by_name_take_the_rest_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RECSVC_CORS_ORIGINS", "https://a.example,https://b.example")
        monkeypatch.setenv("RECSVC_PORT", "8124")
        settings = Settings(port=8125)
        assert settings.port == 8125
        assert settings.cors_origins == ("https://a.example", "https://b.example")


class TestFile:
    def test_its_values_are_read_and_variables_win(self, tmp_path: Path) -> None:
        file = tmp_path / "recsvc.env"
        file.write_text("# a comment\nRECSVC_PORT=8200\nRECSVC_WORKERS=3\nOTHER=ignored\nRECSVC_DATA_DIR=/d\n")
        settings = load_settings({"RECSVC_ENV_FILE": str(file), "RECSVC_PORT": "8300"})
        assert (settings.port, settings.workers) == (8300, 3)

    def test_an_unknown_name_in_it_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "recsvc.env"
        file.write_text("RECSVC_WORKER=3\n")
        assert problems({"RECSVC_ENV_FILE": str(file)}) == [
            "RECSVC_WORKER: there is no such setting; did you mean RECSVC_WORKERS?"
        ]

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        [line] = problems({"RECSVC_ENV_FILE": str(tmp_path / "none.env")})
        assert line.startswith(f"RECSVC_ENV_FILE: there is no file {tmp_path}/none.env")


class TestRefusals:
    def test_an_unknown_variable_is_named_with_the_nearest_known_one(self) -> None:
        assert problems({"RECSVC_PROT": "1"}) == ["RECSVC_PROT: there is no such setting; did you mean RECSVC_PORT?"]

    def test_the_variables_of_training_are_known(self) -> None:
        assert load_settings(dict.fromkeys(OTHER_VARIABLES - {"RECSVC_ENV_FILE"}, "x")).port == 8000

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("PORT", "eighty"),
            ("PORT", "65536"),
            ("PORT", "-1"),
            ("WORKERS", "0"),
            ("WORKERS", "1.5"),
            ("LOG_LEVEL", "loud"),
            ("LOG_FORMAT", "xml"),
            ("CACHE_TTL_SECONDS", "0"),
            ("REDIS_TIMEOUT_MILLISECONDS", "soon"),
            ("MAX_BODY_BYTES", "1"),
            ("CHAMPION_POLL_SECONDS", "nan"),
            ("CHAMPION_POLL_SECONDS", "0"),
            ("COMPUTE_THREADS", "0"),
            ("REDIS_URL", "http://cache"),
            ("CORS_ORIGINS", "example.com"),
            ("CORS_ORIGINS", "https://example.com/path"),
            ("API_KEYS_FILE", "/no/such/file"),
        ],
    )
    def test_a_bad_value_names_its_variable(self, name: str, value: str) -> None:
        [line] = problems({f"RECSVC_{name}": value})
        assert line.startswith(f"RECSVC_{name}: ")

    def test_every_bad_value_has_its_line(self) -> None:
        lines = problems({"RECSVC_PORT": "x", "RECSVC_WORKERS": "y"})
        assert [line.split(":")[0] for line in lines] == ["RECSVC_PORT", "RECSVC_WORKERS"]


class TestExposure:
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.com"])
    def test_other_machines_may_reach_it_only_with_keys(self, host: str) -> None:
        [line] = problems({"RECSVC_HOST": host})
        assert line.startswith("RECSVC_HOST: ")
        assert "RECSVC_API_KEYS" in line
        assert load_settings({"RECSVC_HOST": host, "RECSVC_API_KEYS": f"{KEY}:read"}).host == host

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
    def test_loopback_needs_none(self, host: str) -> None:
        assert load_settings({"RECSVC_HOST": host}).api_key_entries() == ()


class TestApiKeys:
    def test_entries_of_the_variable_and_of_the_file_add_up(self, tmp_path: Path) -> None:
        file = tmp_path / "keys"
        file.write_text(f"# the dashboard\n{KEY}1:read,events  # trailing\n\n{KEY}2:admin\n")
        entries = load_settings(
            {"RECSVC_API_KEYS": f"{KEY}3:experiments", "RECSVC_API_KEYS_FILE": str(file)}
        ).api_key_entries()
        assert {entry.key: set(entry.scopes) for entry in entries} == {
            f"{KEY}1": {"read", "events"},
            f"{KEY}2": {"admin"},
            f"{KEY}3": {"experiments"},
        }

    @pytest.mark.parametrize(
        ("text", "wrong"),
        [
            (KEY, "has no ':'"),
            ("short:read", "shorter than 16"),
            (f"{KEY}:write", "unknown scope"),
            (f"{KEY}:read,", "unknown scope"),
            (f"{KEY}é:read", "may hold only"),
            (f"{KEY}:read {KEY}:events", "entry 2 repeats"),
            (f"read:{KEY}", "shorter than 16"),
        ],
    )
    def test_a_bad_entry_is_refused_without_showing_the_key(self, text: str, wrong: str) -> None:
        [line] = problems({"RECSVC_API_KEYS": text})
        assert line.startswith("RECSVC_API_KEYS: entry ")
        assert wrong in line
        assert KEY not in line

    def test_a_key_in_both_places_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "keys"
        file.write_text(f"{KEY}:read")
        [line] = problems({"RECSVC_API_KEYS": f"{KEY}:admin", "RECSVC_API_KEYS_FILE": str(file)})
        assert line.startswith("RECSVC_API_KEYS_FILE: ")

    def test_a_file_without_a_key_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "keys"
        file.write_text("# none yet\n")
        [line] = problems({"RECSVC_API_KEYS_FILE": str(file)})
        assert "holds no key" in line


class TestSecrets:
    def test_neither_repr_nor_an_error_shows_them(self) -> None:
        secret = "redis://:hunter2hunter2@cache/0"
        settings = load_settings({"RECSVC_API_KEYS": f"{KEY}:read", "RECSVC_REDIS_URL": secret})
        shown = f"{settings!r} {settings} {settings.api_key_entries()!r}"
        assert KEY not in shown
        assert "hunter2" not in shown
        with pytest.raises(ValidationError) as caught:
            Settings(redis_url="ftp://:hunter2hunter2@cache", api_keys=f"{KEY}:no")  # type: ignore[arg-type]
        assert "hunter2" not in str(caught.value)
        assert KEY not in str(caught.value)


class TestDocumentation:
    TEXT = (Path(__file__).parents[1] / "docs" / "settings.md").read_text("utf-8")

    def rows(self) -> dict[str, list[str]]:
        found = re.findall(r"^\| `(RECSVC_\w+)` \|(.*)\|$", self.TEXT, flags=re.MULTILINE)
        return {name: [cell.strip() for cell in cells.split("|")] for name, cells in found}

    def test_every_setting_is_there_and_nothing_else(self) -> None:
        assert set(self.rows()) == {f"RECSVC_{name.upper()}" for name in Settings.model_fields} | OTHER_VARIABLES

    @pytest.mark.parametrize("name", sorted(Settings.model_fields))
    def test_the_default_is_the_codes(self, name: str) -> None:
        default = Settings.model_fields[name].default
        shown = self.rows()[f"RECSVC_{name.upper()}"][0]
        assert shown == ("" if default is None or default == () else f"`{default}`")
