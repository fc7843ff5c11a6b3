#!/usr/bin/env bash
# Makes .venv beside this checkout with everything Polynya needs, Horovod included.
# Run by `make setup`; a second run takes a second. PYTHON=/path/to/python3.11 chooses the interpreter.
# GPU=1 is for NVIDIA's GPUs: TensorFlow with CUDA, Horovod with NCCL (docs/gpus.md). It stays so until GPU=0.
# DEV=0 leaves out what only tests and linters need (docker/dev-only.txt), as images do.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=.venv
LOCK=docker/constraints.txt
STAMP=$VENV/.setup-done
KIND=$VENV/.setup-gpu
INPUTS="docker/setup.sh docker/gpu_build.py docker/constraints.txt docker/constraints-gpu.txt docker/dev-only.txt setup.cfg pyproject.toml"

# Packages must be those of the lock, file by file: pip compares each with its hash, and takes no other.
FIRST="setuptools wheel packaging"

SLURM_PACKAGES="slurmctld slurmd slurm-client munge iproute2"
IMAGE_PACKAGES="buildah debootstrap"

say() { printf '\033[1m[setup]\033[0m %s\n' "$*" >&2; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

fingerprint() { { cat $INPUTS; pwd; wanted_gpu; left_out; } | sha256sum | cut -d' ' -f1; }

# 1 for GPUs, else 0: what is asked for, or what is there.
wanted_gpu() {
  case ${GPU:-} in
    0|1) echo "$GPU" ;;
    "") cat $KIND 2>/dev/null || echo 0 ;;
    *) die "GPU is 1 (TensorFlow with CUDA, Horovod with NCCL) or 0 (neither), not $GPU." ;;
  esac
}

# Packages of the lock that are not wanted.
left_out() { [ "${DEV:-1}" != 0 ] || xargs <docker/dev-only.txt; }

# Debian and Ubuntu package for each missing tool, one a line.
missing_packages() {
  command -v g++ >/dev/null || echo g++
  command -v make >/dev/null || echo make
  command -v cmake >/dev/null || echo cmake
  java_version_ok || echo openjdk-17-jre-headless
  "$1" -c 'import ensurepip, venv' 2>/dev/null || echo "python$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
  [ -f "$("$1" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')/Python.h" ] || echo python3-dev
}

# Spark 4.0 needs Java 17 or 21.
java_version_ok() {
  local java=${JAVA_HOME:+$JAVA_HOME/bin/}java
  "$java" -version 2>&1 | grep -Eq 'version "(17|21)[."]'
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3.11 python3.12 python3; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  die "Python 3.11 or 3.12 is needed (what TensorFlow 2.18 and pandas 3 both support); install python3.11 or set PYTHON=/path/to/it."
}

# Says which CUDA toolkit will be taken, before gigabytes are fetched in vain.
toolkit_found() {
  local told
  told=$("$1" docker/gpu_build.py check) || exit
  say "$told"
}

# The two kinds of TensorFlow have files of one name: a change of kind begins anew.
venv_fits() {
  $VENV/bin/python -c '' 2>/dev/null && [ "$(cat $KIND 2>/dev/null || echo 0)" = "$1" ]
}

site_packages() { $VENV/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])'; }

missing() { missing_packages "$1" | xargs; }

install_system_packages() {
  local packages
  packages=$(missing "$1")
  [ -n "$packages" ] || return 0
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing with apt-get: $packages"
    apt-get update -qq
    # shellcheck disable=SC2086  # a list of words is meant
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
    packages=$(missing "$1")
    [ -z "$packages" ] || die "installed, but still not found: $packages (does JAVA_HOME=${JAVA_HOME:-} name another Java?)"
  else
    die "please install $packages (as root on Debian or Ubuntu: apt-get install $packages) and run make setup again."
  fi
}

# What tests/slurm, tests/image and the test of jobs/schedule/crontab run; without it they skip. A Slurm that a site
# has set up is left alone.
install_test_packages() {
  local missing=
  if [ "${DEV:-1}" = 0 ] || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then return; fi
  { type -P buildah && type -P debootstrap; } >/dev/null || missing=$IMAGE_PACKAGES
  [ -e /etc/slurm/slurm.conf ] \
    || { type -P slurmctld && type -P slurmd && type -P sbatch && type -P munged && type -P ip; } >/dev/null \
    || missing="$missing $SLURM_PACKAGES"
  PATH=$PATH:/usr/sbin type -P cron >/dev/null || missing="$missing cron"
  if [ -z "$missing" ]; then return; fi
  say "installing with apt-get, for tests: $missing"
  # shellcheck disable=SC2086  # a list of words is meant
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } \
    >/dev/null || say "going on without: tests that need cron or a Slurm, or make an image, skip"
}

# The lines of the lock about some packages; with `but` in front, about all others.
locked() {
  awk -v names=" $* " '
    BEGIN { but = sub(/^ but /, " ", names) }
    /^[A-Za-z0-9]/ { name = $1; sub(/[=[].*/, "", name); chosen = (index(names, " " name " ") > 0) != but }
    chosen && !/^ *#/' $LOCK
}

install_locked() {
  locked "$@" >$VENV/lock.txt
  $VENV/bin/pip install -qq --require-hashes --no-deps --no-build-isolation -r $VENV/lock.txt
}

# Horovod publishes no wheels. One is built per Python, TensorFlow and machine kind, with GPUs also per CUDA and
# NCCL, and kept for later set-ups; it can be deleted at any time.
install_horovod() {
  local tag cache horovod variables minutes="about two minutes"
  horovod=$(sed -n 's/^horovod==\([^ ]*\).*/\1/p' $LOCK)
  tag=$($VENV/bin/python - <<'PY'
import platform, sys, importlib.metadata as m
names = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in m.distributions()}
tensorflow = next(f"{name}-{names[name]}" for name in ("tensorflow-cpu", "tensorflow") if name in names)
print(f"py{sys.version_info[0]}{sys.version_info[1]}-{tensorflow}-{platform.machine()}")
PY
)
  if [ "$1" = 1 ]; then
    variables=$($VENV/bin/python docker/gpu_build.py variables "$(site_packages)" "$PWD/$VENV/nccl") || exit
    eval "$variables"
    tag+=-$BUILT_WITH minutes="about ten minutes"
  fi
  cache=${XDG_CACHE_HOME:-$HOME/.cache}/polynya/horovod-$horovod-$tag
  if ! ls "$cache"/horovod-*.whl >/dev/null 2>&1; then
    say "building Horovod $horovod ($minutes, once per machine)"
    rm -rf "$cache.part" && mkdir -p "$cache.part"
    locked horovod >"$cache.part/lock.txt"
    HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 HOROVOD_WITHOUT_PYTORCH=1 \
    HOROVOD_WITHOUT_MXNET=1 HOROVOD_CPU_OPERATIONS=GLOO CMAKE_POLICY_VERSION_MINIMUM=3.5 \
    MAKEFLAGS=-j$(nproc) PATH="$PWD/$VENV/bin:$PATH" \
      $VENV/bin/pip wheel --require-hashes --no-deps --no-build-isolation --no-binary horovod \
        -r "$cache.part/lock.txt" -w "$cache.part" >"$cache.part/build.log" 2>&1 \
      || { tail -40 "$cache.part/build.log" >&2; die "Horovod did not build; the whole log is $cache.part/build.log"; }
    rm -rf "$cache" && mv "$cache.part" "$cache"
  fi
  $VENV/bin/pip install -qq --no-deps --no-index "$cache"/horovod-*.whl
}

# What tests/image makes an image with; without it they skip. Only where it may be done.
main() {
  local python gpu
  gpu=$(wanted_gpu)
  if [ -f $STAMP ] && [ "$(cat $STAMP)" = "$(fingerprint)" ]; then
    return
  fi
  python=$(find_python)
  install_system_packages "$python"
  [ "$gpu" = 0 ] || toolkit_found "$python"
  say "making $VENV with $("$python" --version) (about two minutes the first time)"
  venv_fits "$gpu" || "$python" -m venv --clear $VENV
  echo "$gpu" >$KIND
  if [ "$gpu" = 1 ]; then
    { locked but tensorflow-cpu; cat docker/constraints-gpu.txt; } >$VENV/lock-gpu.txt
    LOCK=$VENV/lock-gpu.txt
  fi
  # shellcheck disable=SC2086  # a list of words is meant
  install_locked $FIRST
  # shellcheck disable=SC2046,SC2086
  install_locked but horovod $FIRST $(left_out)
  $VENV/bin/pip install -qq --no-deps --no-index --no-build-isolation -e .
  (install_horovod "$gpu")
  # horovodrun imports TensorFlow before any of our code could quieten it.
  echo 'import os; os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")' \
    >"$(site_packages)/polynya-quiet.pth"
  $VENV/bin/pip check
  install_test_packages
  $VENV/bin/python -m pipelines.engine.archive || say "going on without: Spark only starts more slowly"
  fingerprint >$STAMP
  say "done"
}

main
