#!/bin/sh
# What a job can ask of the server that runs it. It is found as `circleci`, `circleci-agent` and
# `popsicle`; what it does not know is for the next program of that name in the search path.

name=${0##*/}
case $0 in */*) here=${0%/*} ;; *) here=. ;; esac

fail() {
  printf '%s: %s\n' "$name" "$1" >&2
  exit 2
}

# Runs the next program of this name in the search path, if there is one.
hand_on() {
  real=$(CDPATH= cd -- "$here" && pwd -P)
  rest=$PATH:
  while [ -n "$rest" ]; do
    folder=${rest%%:*}
    rest=${rest#*:}
    [ -f "${folder:=.}/$name" ] && [ -x "$folder/$name" ] || continue
    [ "$(CDPATH= cd -- "$folder" && pwd -P)" = "$real" ] || exec "$folder/$name" "$@"
  done
  printf '%s\n' "$name: in a job there is \`$name step halt\`, and no other program \`$name\` to do this: $*" >&2
  exit 127
}

# The script that runs the steps looks for this file before each of them.
halt() {
  : >"$here/../halt" || fail "the job can't be halted"
}

case "$1 $2" in
  'step halt') halt ;;
  *) hand_on "$@" ;;
esac
