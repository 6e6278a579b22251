#!/usr/bin/env bash
# bunny (Ruby).
set -euo pipefail
ruby -e 'require "bunny"' 2>/dev/null || { echo "bunny skipped: apt-get install ruby-bunny"; exit 77; }
exec ruby bunny_client.rb
