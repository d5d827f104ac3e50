"""The command `genvis app`: what it says, what it refuses, how it ends."""

import http.client
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from genvis.cli.main import main
from tests.app.browser import free_port


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a.txt"], "is a file: name a folder"),
        ([".", "--port", "70000"], "--port is 70000"),
        ([".", "--max-upload", "0"], "--max-upload is 0"),
        ([".", "--host", "no.such.host.invalid", "--no-browser"], "Cannot listen on"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(tmp_path, monkeypatch, capsys, words, sentence):
    monkeypatch.chdir(tmp_path)
    Path("a.txt").touch()
    assert main(["app", *words]) == 2
    assert sentence in capsys.readouterr().err


def test_a_port_that_is_taken(tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["app", str(tmp_path), "--port", str(taken.getsockname()[1]), "--no-browser"]) == 2
    assert "choose another with --port" in capsys.readouterr().err


def test_it_says_its_address_and_what_a_public_one_means_and_ends_with_ctrl_c(tmp_path):
    port = free_port()
    words = [sys.executable, "-m", "genvis", "app", str(tmp_path), "--no-browser", "--port", str(port)]
    server = subprocess.Popen([*words, "--host", "0.0.0.0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stdout is not None
    lines = [server.stdout.readline() for _ in range(3)]
    address = re.fullmatch(rf"http://127\.0\.0\.1:{port}/\?token=([\w-]+)\n", lines[1])
    assert address is not None
    assert "can be reached from other computers" in lines[2]
    # A second server in the folder is refused.
    second = subprocess.run(words, capture_output=True, text=True, check=False)
    assert second.returncode == 2
    assert "Traceback" not in second.stderr
    # A page that listens does not keep the server from ending.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/api/events", headers={"authorization": f"Bearer {address[1]}"})
    assert connection.getresponse().status == 200
    server.send_signal(signal.SIGINT)
    _, said = server.communicate(timeout=30)
    connection.close()
    assert server.returncode in (0, 130)
    assert "Traceback" not in said
    assert address[1] not in said
