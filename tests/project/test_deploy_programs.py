"""The programs that read the files of docs/deploy.md take them, where they are installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.test_deploy_files import CADDY, NGINX, SUB_PATH, UNIT, read


def program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")  # Debian's nginx
    if found is None:
        pytest.skip(f"{name} is not installed: `apt-get install {name}` lets it judge its file")
    return found


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "fullchain.pem", folder / "privkey.pem"
    options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-out", str(made), "-keyout", str(key), "-subj", "/CN=paint.example"]
    subprocess.run([program("openssl"), "req", *options, *files], check=True, capture_output=True)
    return made, key


@pytest.mark.parametrize("below", [False, True], ids=["root", "sub-path"])
def test_nginx_takes_its_file(tmp_path: Path, certificate: tuple[Path, Path], below: bool) -> None:
    nginx = program("nginx")
    made, key = certificate
    text = read(NGINX)
    if below:
        text = text.replace(*SUB_PATH[NGINX])
    for theirs, ours in {
        "/etc/letsencrypt/live/paint.example/fullchain.pem": str(made),
        "/etc/letsencrypt/live/paint.example/privkey.pem": str(key),
        "/var/cache/nginx-scenebrush": str(tmp_path / "cache"),
        # Not root, perhaps, and perhaps without IPv6.
        "listen [::]": "# listen [::]",
        "listen 80;": "listen 127.0.0.1:8080;",
        "listen 443 ssl": "listen 127.0.0.1:8443 ssl",
    }.items():
        assert theirs in text
        text = text.replace(theirs, ours)
    temporary = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"{name}_temp_path {tmp_path}/{name};" for name in temporary)
    whole = f"pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off; {folders}\n{text}\n}}"
    (tmp_path / "nginx.conf").write_text(whole, encoding="utf-8")
    command = [nginx, "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    assert tried.returncode == 0, tried.stderr


@pytest.mark.parametrize("below", [False, True], ids=["root", "sub-path"])
def test_caddy_takes_its_file(tmp_path: Path, below: bool) -> None:
    caddy = program("caddy")
    text = read(CADDY)
    if below:
        text = text.replace(*SUB_PATH[CADDY])
    (tmp_path / "Caddyfile").write_text(text, encoding="utf-8")
    homes = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    command = [
        caddy,
        "adapt",
        "--validate",
        "--adapter",
        "caddyfile",
        "--config",
        str(tmp_path / "Caddyfile"),
    ]
    tried = subprocess.run(command, env=homes, capture_output=True, text=True, check=False)
    assert tried.returncode == 0, tried.stderr


def test_systemd_takes_its_unit(tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    text = read(UNIT).replace("/opt/scenebrush/bin/scenebrush", str(Path(sys.executable).resolve()))
    (tmp_path / UNIT.name).write_text(text, encoding="utf-8")
    tried = subprocess.run(
        [analyze, "verify", "--man=no", str(tmp_path / UNIT.name)],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in tried.stderr.splitlines() if UNIT.name in line]  # other units may complain too
    assert tried.returncode == 0, tried.stderr
    assert not ours, f"an unknown key is only a warning: {ours}"
