# Shared by ./run, ./rasd, ./test and ./bench (sourced, not run): finds Python, makes the
# virtual environment, installs what requirements.txt asks for when it has changed, and
# makes sure that PostgreSQL + PostGIS are there. Talks on standard error only, so that the
# output of a command stays clean. Works with bash 3.2 (macOS) and with paths with spaces.

set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"

say() { printf 'rasd: %s\n' "$*" >&2; }
die() { printf 'rasd: %s\n' "$*" >&2; exit 1; }

# Where the virtual environment lives: in the checkout, unless that cannot be written.
choose_venv() {
  if [ -n "${RASD_VENV:-}" ]; then
    case "$RASD_VENV" in /*) VENV="$RASD_VENV" ;; *) VENV="$PWD/$RASD_VENV" ;; esac
  elif [ -w "$ROOT" ] || [ -x "$ROOT/.venv/bin/python" ]; then
    VENV="$ROOT/.venv"
  else
    local home="${RASD_HOME:-${XDG_DATA_HOME:-${HOME:-/tmp}/.local/share}/rasd}"
    VENV="$home/venv"
  fi
  PYTHON="$VENV/bin/python"
}
choose_venv

# A relative RASD_HOME counts from where the command was typed, not from the checkout.
if [ -n "${RASD_HOME:-}" ]; then
  case "$RASD_HOME" in
    /* | "~"*) ;;
    *) RASD_HOME="$PWD/$RASD_HOME" ;;
  esac
  export RASD_HOME
fi

# --- permission to install packages ------------------------------------------------------

may_install() {
  command -v apt-get >/dev/null 2>&1 || return 1
  [ "$(id -u)" = 0 ] && return 0
  command -v sudo >/dev/null 2>&1 && sudo -n true >/dev/null 2>&1
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# apt-get install, quietly; its output is shown only when it fails. File 9 is our lock:
# services that a package starts must not inherit it.
apt_install() {
  local log status=0
  log="$(mktemp)"
  say "installing Debian packages: $*"
  if ! apt-cache show "$@" >/dev/null 2>&1; then
    as_root apt-get update >"$log" 2>&1 </dev/null 9>&- || true
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1 </dev/null 9>&- || status=$?
  if [ "$status" -ne 0 ]; then tail -n 15 "$log" >&2; fi
  rm -f "$log"
  return "$status"
}

# --- Python ------------------------------------------------------------------------------

is_new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
  local name found="" path
  for name in "${RASD_PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.14 /usr/bin/python3; do
    [ -n "$name" ] || continue
    path="$(command -v "$name" 2>/dev/null)" || continue
    is_new_enough "$path" || continue
    # One that can make virtual environments is better than one that needs a package first.
    if "$path" -c 'import ensurepip, venv' >/dev/null 2>&1; then
      BASE_PYTHON="$path"
      return 0
    fi
    [ -n "$found" ] || found="$path"
  done
  if [ -z "$found" ]; then
    case "$(uname -s)" in
      Darwin) die "Python 3.11 or newer is needed and was not found. Type: brew install python@3.12" ;;
      *) die "Python 3.11 or newer is needed and was not found (python3 is $(python3 --version 2>/dev/null || echo missing)). Install it, for example: sudo apt-get install python3 python3-venv; or name one in RASD_PYTHON." ;;
    esac
  fi
  local version
  version="$("$found" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
  if may_install; then
    apt_install "python$version-venv" || apt_install python3-venv || true
  fi
  "$found" -c 'import ensurepip, venv' >/dev/null 2>&1 ||
    die "$found cannot make a virtual environment. Type: sudo apt-get install python$version-venv"
  BASE_PYTHON="$found"
}

# --- one set-up at a time ----------------------------------------------------------------

# flock(1) is not on macOS; a lock taken by Python on an inherited file stays with the shell.
lock_setup() {
  mkdir -p "$(dirname "$VENV")"
  exec 9>>"$VENV.lock"
  "$BASE_PYTHON" - <<'PY' || die "the lock $VENV.lock could not be taken"
import fcntl, sys
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("rasd: another set-up is under way; waiting for it", file=sys.stderr)
    fcntl.flock(9, fcntl.LOCK_EX)
PY
}

unlock_setup() { exec 9>&-; }

# --- Python packages ---------------------------------------------------------------------

# The copy of the requirements that were last installed whole is the stamp.
stamp() { printf '%s/rasd-%s' "$VENV" "$1"; }

is_installed() {
  local file
  [ -x "$PYTHON" ] || return 1
  for file in "$@"; do
    cmp -s "$ROOT/$file" "$(stamp "$file")" || return 1
  done
}

install_python_packages() {
  local file log
  if ! "$PYTHON" -c 'import pip' >/dev/null 2>&1; then
    say "making the virtual environment $VENV"
    "$BASE_PYTHON" -m venv --clear "$VENV" || die "the virtual environment $VENV could not be made"
  fi
  log="$(mktemp)"
  for file in "$@"; do
    cmp -s "$ROOT/$file" "$(stamp "$file")" && continue
    say "installing the Python packages of $file (the first time takes a minute or two)"
    if ! "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-input \
      -r "$ROOT/$file" >"$log" 2>&1 </dev/null 9>&-; then
      tail -n 15 "$log" >&2
      rm -f "$log"
      die "pip could not install $file (its last words are above). Check the network, then try again."
    fi
    cp "$ROOT/$file" "$(stamp "$file")"
  done
  rm -f "$log"
}

# --- PostgreSQL and PostGIS --------------------------------------------------------------

has_postgis() {
  local bin major share
  if [ -n "${RASD_PG_BIN:-}" ]; then return 0; fi # named by hand: the cluster will say what it lacks
  for bin in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin \
    /usr/local/opt/postgresql@*/bin /Applications/Postgres.app/Contents/Versions/*/bin; do
    [ -x "$bin/initdb" ] || continue
    major="$(basename "$(dirname "$bin")")"
    share="$("$bin/pg_config" --sharedir 2>/dev/null || true)"
    [ -f "/usr/share/postgresql/$major/extension/postgis.control" ] && return 0
    [ -n "$share" ] && [ -f "$share/extension/postgis.control" ] && return 0
  done
  if command -v postgres >/dev/null 2>&1 && command -v pg_config >/dev/null 2>&1; then
    [ -f "$(pg_config --sharedir)/extension/postgis.control" ] && return 0
  fi
  return 1
}

# The PostgreSQL version to install PostGIS for: the newest server that is here, or else
# the newest that the package lists offer.
postgresql_version() {
  local here
  here="$(for bin in /usr/lib/postgresql/*/bin/initdb; do
    [ -x "$bin" ] && basename "$(dirname "$(dirname "$bin")")"
  done | sort -n | tail -n 1)" || true
  if [ -z "$here" ]; then
    here="$(apt-cache pkgnames postgresql- 2>/dev/null |
      sed -n 's/^postgresql-\([0-9][0-9]*\)-postgis-3$/\1/p' | sort -n | tail -n 1)" || true
  fi
  printf '%s' "$here"
}

ensure_postgis() {
  [ -n "${DATABASE_URL:-}${RASD_DATABASE_URL:-}" ] && return 0
  has_postgis && return 0
  if [ "$(uname -s)" = Darwin ]; then
    die "PostgreSQL and PostGIS are needed. Type: brew install postgresql@17 postgis python@3.12"
  fi
  command -v apt-get >/dev/null 2>&1 ||
    die "PostgreSQL and PostGIS are needed: install your system's packages for both, or set DATABASE_URL."
  local version hint
  version="$(postgresql_version)"
  if ! may_install; then
    hint="postgresql postgresql-postgis"
    [ -n "$version" ] && hint="postgresql-$version postgresql-$version-postgis-3"
    die "PostgreSQL and PostGIS are needed. Type: sudo apt-get install $hint"
  fi
  if [ -z "$version" ]; then
    say "reading the package lists"
    as_root apt-get update >/dev/null 2>&1 </dev/null 9>&- || die "apt-get update failed. Check the network."
    version="$(postgresql_version)"
    [ -n "$version" ] || die "the package lists offer no postgresql-*-postgis-3. On Ubuntu: sudo add-apt-repository universe"
  fi
  # Rasd needs the programs only: where the package is new, no system-wide cluster is made.
  local quiet=/etc/postgresql-common/createcluster.d/rasd.conf made=no status=0
  if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    as_root mkdir -p "$(dirname "$quiet")"
    echo "create_main_cluster = false" | as_root tee "$quiet" >/dev/null
    made=yes
  fi
  apt_install "postgresql-$version" "postgresql-$version-postgis-3" || status=$?
  if [ "$made" = yes ]; then as_root rm -f "$quiet"; fi
  [ "$status" -eq 0 ] && has_postgis ||
    die "PostgreSQL and PostGIS could not be installed. Type: sudo apt-get install postgresql-$version postgresql-$version-postgis-3"
}

# --- the whole set-up --------------------------------------------------------------------

# set_up requirements.txt [requirements-dev.txt]: quick when there is nothing to do.
set_up() {
  if is_installed "$@" && "$PYTHON" -c '' >/dev/null 2>&1; then
    if [ -n "${DATABASE_URL:-}${RASD_DATABASE_URL:-}" ] || has_postgis; then return 0; fi
  fi
  find_python
  lock_setup
  is_installed "$@" && "$PYTHON" -c '' >/dev/null 2>&1 || install_python_packages "$@"
  ensure_postgis
  unlock_setup
}

# --- the browser for tests ---------------------------------------------------------------

find_chromium() {
  local name
  for name in "${RASD_CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable \
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" \
    "/Applications/Chromium.app/Contents/MacOS/Chromium"; do
    [ -n "$name" ] && command -v "$name" >/dev/null 2>&1 && { command -v "$name"; return 0; }
  done
  return 1
}

# Leaves RASD_CHROMIUM set when there is one; the browser tests fail in words when not.
ensure_chromium() {
  if ! find_chromium >/dev/null && may_install; then
    apt_install chromium || say "the Debian package chromium could not be installed"
  fi
  if RASD_CHROMIUM="$(find_chromium)"; then
    export RASD_CHROMIUM
  else
    unset RASD_CHROMIUM
    say "no Chromium was found: the browser tests will fail. Type: sudo apt-get install chromium"
  fi
}
