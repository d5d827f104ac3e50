"""The examples for Slurm and Kubernetes are well formed, and what they call exists."""

import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from genvis.cli.main import main
from genvis.scaling.shards import COUNT_VARIABLE, parsed_shard
from genvis.storage.fetching import CACHE_VARIABLE, LIMIT_VARIABLE

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def options(capsys):
    """A function that returns the help of a verb."""

    def shown(verb):
        assert main([verb, "--help"]) == 0
        return capsys.readouterr().out

    return shown


@pytest.mark.parametrize("path", sorted((EXAMPLES / "slurm").iterdir()), ids=lambda path: path.name)
def test_slurm_scripts_are_shell_that_calls_what_exists(path, options):
    subprocess.run(["bash", "-n", path], check=True)
    lines = [line for line in path.read_text().splitlines() if "genvis " in line and not line.startswith("#")]
    words = shlex.split(next(line for line in lines if "genvis predict" in line or "genvis train" in line))
    words = words[words.index("genvis") :]  # Options before it are srun's.
    verb = words[1]
    text = options(verb)
    named = [word for word in words if word.startswith("--") and not word.startswith("--run.")]
    assert all(option in text for option in named)
    assert ("--shard" in words) == (verb == "predict")


def test_a_slurm_task_passes_signals_and_the_status_on(tmp_path):
    """The script, with a stand-in for `genvis` that ends as it does after a signal."""
    program = tmp_path / "genvis"
    program.write_text(
        "#!/bin/bash\ntrap 'echo stopped; exit 130' TERM\ntouch started\nwhile true; do sleep 0.05; done\n"
    )
    program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_ID": "1", "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        ["bash", EXAMPLES / "slurm" / "predict.sbatch", "*.mp4", "out"],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "started").exists():
        assert process.poll() is None
    process.terminate()
    said, _ = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "stopped\n")
    assert not (tmp_path / "genvis-1").exists()


def test_the_kubernetes_job_is_one_whose_pods_know_their_share(options):
    job = yaml.safe_load((EXAMPLES / "kubernetes" / "predict.yaml").read_text())
    spec = job["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    assert spec["completionMode"] == "Indexed"
    assert int(environment[COUNT_VARIABLE]) == spec["completions"]
    assert {CACHE_VARIABLE, LIMIT_VARIABLE} <= set(environment)
    verb, *words = container["args"]
    text = options(verb)
    assert all(word in text for word in words if word.startswith("--"))
    assert words[words.index("--shard") + 1] == "auto"
    for index in range(spec["completions"]):
        assert parsed_shard("auto", environment=environment | {"JOB_COMPLETION_INDEX": str(index)}).index == index
