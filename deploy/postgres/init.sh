#!/bin/bash
# Run once, by the image, on an empty data directory: a database for each service, which only its own user may enter.
set -euo pipefail
for service in order payment product shipment; do
  psql --set=ON_ERROR_STOP=1 --quiet --username=postgres \
    --set=name="$service" --set=password="$(cat /run/credentials/$service)" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
done
