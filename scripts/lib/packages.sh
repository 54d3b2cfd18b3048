# Debian packages: which are wanted, which are missing, installing those. Sourced, not run.

# wanted_packages SECTION...: the packages of those sections of dependencies.txt ("# Section: NAME").
wanted_packages() {
  awk -v sections=" $* " '
    /^# Section: / { is_wanted = index(sections, " " $3 " "); next }
    /^[a-z0-9]/ && is_wanted { print $1 }' "$(dirname "${BASH_SOURCE[0]}")/../dependencies.txt"
}

# missing_packages SECTION...: those of the wanted that are not installed.
missing_packages() {
  local package
  for package in $(wanted_packages "$@"); do
    dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed' ||
      echo "$package"
  done
}

# install_packages SECTION...: says what is missing and installs it; nothing where all is there.
install_packages() {
  local missing as_root=()
  if ! command -v dpkg-query >/dev/null; then
    echo "not a Debian system: expecting what scripts/dependencies.txt lists to be there"
    return 0
  fi
  mapfile -t missing < <(missing_packages "$@")
  if [ "${#missing[@]}" = 0 ]; then
    echo "packages: all there"
    return 0
  fi
  echo "packages to install with apt: ${missing[*]}"
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "neither root nor sudo: install these packages yourself, then run this again" >&2
      return 1
    fi
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -qq &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -qq --no-install-recommends "${missing[@]}"
}
