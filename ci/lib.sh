# shellcheck shell=bash
# What ci/test and ci/verify share: finding interpreters, making a virtual environment, mounting
# tracefs. To be sourced; needs bash and a Python, nothing else.

say() { printf 'ci: %s\n' "$*"; }
die() { printf 'ci: %s\n' "$*" >&2; exit 3; }

# Prints every command or file that may be Python $1 ("3.12"; "3" for whichever), best first.
python_candidates() {
    type -aP "python$1" || true
    [ "$1" = 3 ] || type -aP python3 python || true
    local root
    for root in "${PYENV_ROOT:-}" "${HOME:-}/.pyenv"; do
        if [ -d "$root/versions" ]; then
            printf '%s\n' "$root"/versions/"$1".*/bin/"python$1" | sort -rV
        fi
    done
}

# Prints the real path of a Python whose version starts with $1, or fails.
# Asking each one matters: a version manager's shim exists for interpreters that are switched off.
find_python() {
    local candidate
    while IFS= read -r candidate; do
        "$candidate" - "$1" 2>/dev/null <<'PY' && return 0
import sys
wanted = tuple(int(part) for part in sys.argv[1].split("."))
if sys.version_info[: len(wanted)] != wanted or sys.version_info < (3, 11):
    sys.exit(1)
print(sys.executable)
PY
    done < <(python_candidates "$1")
    return 1
}

# Prints the Python that runs the tools: python3 when it is new enough, else any that is.
base_python() {
    local version
    for version in 3 3.13 3.12 3.11 3.14; do
        find_python "$version" && return 0
    done
    return 1
}

# Debian and Ubuntu keep venv in a package of its own.
install_venv_module() {
    local python=$1 package
    package=python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv
    if [ "$(id -u)" -eq 0 ] && [ -x /usr/bin/apt-get ]; then
        say "$python has no venv module: installing $package"
        apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y "$package" && return 0
    fi
    die "$python cannot make virtual environments. Install its venv module, on Debian and" \
        "Ubuntu: apt-get install $package"
}

# Makes the virtual environment $1 unless it is there and works.
make_venv() {
    local venv=$1 python
    if "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        return 0
    fi
    python=$(base_python) || die "perfring needs Python 3.11 or newer, and none was found on PATH."
    if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        install_venv_module "$python"
    fi
    say "making $venv with $python"
    "$python" -m venv --clear "$venv" || die "$python -m venv $venv failed, see above."
}

# Tracepoints need tracefs, and a fresh machine has not always mounted it. Never fails: without it
# the tests and the doctor say themselves what is missing.
mount_tracefs() {
    local where=/sys/kernel/tracing
    if grep -qs ' tracefs ' /proc/self/mounts; then
        return 0
    fi
    if [ "$(id -u)" -ne 0 ]; then
        say "tracefs is not mounted, and only root may: mount -t tracefs nodev $where"
    elif mount -t tracefs nodev $where; then
        say "mounted tracefs at $where"
    else
        say "tracefs could not be mounted at $where: going on without tracepoints"
    fi
    return 0
}

# The tests of pictures look at them in Chromium. Never fails: without it they are skipped and say so.
install_chromium() {
    local command
    for command in chromium chromium-browser google-chrome; do
        if type -P $command >/dev/null; then
            return 0
        fi
    done
    if [ "$(id -u)" -ne 0 ] || [ ! -x /usr/bin/apt-get ]; then
        say "no chromium, and only root may apt-get install it: its tests will be skipped"
        return 0
    fi
    say "installing chromium, for the tests of pictures"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; } \
        </dev/null >"$1" 2>&1 || say "chromium could not be installed, see $1: its tests will be skipped"
    return 0
}
