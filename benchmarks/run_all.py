"""Every benchmark with small sizes, each in a process of its own; Ctrl-C goes on to the next.

    python benchmarks/run_all.py [--adelie PYTHON]

The encoder's four problems come first and take less than five minutes on one core, all of it about half an hour on two;
it ends with what its sizes leave out. Other packages that are not installed are left out as well.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

# Competitors get some seconds each and kind of voxels; other sizes are those that the benchmarks have by themselves.
ARGUMENTS = {
    "bench_encoder.py": [
        ["--problem", "A", "--others", "1", "--seconds", "5", "--repeats", "1"],
        ["--problem", "R", "--others", "1", "--seconds", "5", "--repeats", "1"],
        ["--problem", "Z", "--others", "1", "--seconds", "5", "--repeats", "1"],
        ["--problem", "C", "--voxels", "2", "--others", "1", "--seconds", "8", "--repeats", "1"],
        ["--problem", "B", "--seconds", "20"],
        ["--problem", "D", "--repeats", "1"],
        ["--growth", str(Path(__file__).with_name("growth.png")), "--scale", "0.1", "--repeats", "1"],
    ],
    "bench_extraction.py": [[], ["--memory", "200000"]],
    "bench_masking.py": [["20000", "300", "5"]],
    "bench_sae.py": [["5000"]],
}
LEFT_OUT = """\
bench_encoder.py --problem A --full    1,000 voxels instead of 200
bench_encoder.py --problem R --full    256 voxels instead of 64
bench_encoder.py --problem Z --full    256 voxels instead of 16
bench_encoder.py --problem B --full    all published voxels instead of 40
bench_encoder.py --problem C --full    20 voxels instead of 2
bench_encoder.py --seconds 120         more than 5 s (C: 8 s) for each competitor: one voxel of C can take it minutes
bench_encoder.py --problem D --full    100,000 voxels instead of 2,000: ten minutes
bench_encoder.py --growth growth.png   ten times the voxels, and medians of three: six minutes
bench_encoder.py --device cuda         needs a GPU
bench_extraction.py --memory           a million tokens instead of 200,000
bench_sae.py                           100,000 tokens instead of 5,000
bench_masking.py                       100,000 voxels and 1,000 images instead of 20,000 and 300: 1 GB on disk
calibration.py                         rates of p-values, no times: some minutes"""


def run(script, arguments):
    print(f"\n== {' '.join([script.name, *arguments])}", flush=True)
    process, start = subprocess.Popen([sys.executable, str(script), *arguments]), time.monotonic()
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:  # the terminal sent it to the benchmark as well
            print("interrupted", flush=True)
    print(f"({time.monotonic() - start:.0f} s)", flush=True)
    return code


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--adelie", metavar="PYTHON", help="of an environment that has adelie")
    options = parser.parse_args()
    failed, start = [], time.monotonic()
    scripts = Path(__file__).parent.glob("bench_*.py")
    for script in sorted(scripts, key=lambda path: (path.name != "bench_encoder.py", path.name)):
        for arguments in ARGUMENTS.get(script.name, [[]]):
            if options.adelie and "--problem" in arguments:
                arguments = [*arguments, "--adelie", options.adelie]
            if run(script, arguments):
                failed.append(" ".join([script.name, *arguments]))
    print(f"\nall in {(time.monotonic() - start) / 60:.0f} minutes; left out:\n{LEFT_OUT}", flush=True)
    if failed:
        sys.exit(f"These benchmarks failed or were interrupted: {', '.join(failed)}")


if __name__ == "__main__":
    main()
