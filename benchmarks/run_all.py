"""Every benchmark with small sizes, one after the other, each in a process of its own; Ctrl-C goes on to the next."""

import subprocess
import sys
from pathlib import Path

# Competitors get a few seconds each; the full sizes are those that `--full` asks for.
ARGUMENTS = {
    "bench_encoder.py": [
        ["--problem", "A", "--seconds", "20"],
        ["--problem", "B", "--seconds", "20"],
        ["--problem", "C", "--seconds", "20", "--repeats", "1"],
        ["--problem", "D", "--seconds", "0", "--others", "0", "--repeats", "1"],
        ["--growth", str(Path(__file__).with_name("growth.png")), "--scale", "0.1", "--repeats", "1"],
    ],
    "bench_extraction.py": [[], ["--memory"]],
}


def run(script, arguments):
    print(f"\n== {' '.join([script.name, *arguments])}", flush=True)
    process = subprocess.Popen([sys.executable, str(script), *arguments])
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the terminal sent it to the benchmark as well
            print("interrupted", flush=True)


def main():
    failed = []
    for script in sorted(Path(__file__).parent.glob("bench_*.py")):
        for arguments in ARGUMENTS.get(script.name, [[]]):
            if run(script, arguments):
                failed.append(" ".join([script.name, *arguments]))
    if failed:
        sys.exit(f"These benchmarks failed or were interrupted: {', '.join(failed)}")


if __name__ == "__main__":
    main()
