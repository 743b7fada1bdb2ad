#!/usr/bin/env bash
# The pipeline of github-actions.yml and gitlab-ci.yml, on this machine from end to end: two embedded servers (staging and
# production, both the demo's shop), a pgwarden before each, Alembic's migrations in example/, and what happens to somebody who
# goes round it. It needs nothing but a checkout:
#
#   make pipeline
#
# All is in a throw-away folder, and nothing is left when it ends. docs/how-to/prove-migrations-alembic.md explains the steps.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PWD/.venv/bin:$PATH" PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONSAFEPATH=1 COLUMNS=120

# --- words -------------------------------------------------------------------------------------------------------------------

step() { printf '\n=== %s\n' "$*"; }
show() { printf '\n$ %s\n' "$*"; "$@"; }
# What has to be refused: the run fails where it is not. Only the end is shown, as Alembic shows much before it.
refused() {
  printf '\n$ %s\n' "$*"
  if "$@" >"$work/said" 2>&1; then cat "$work/said"; echo "this should have been refused" >&2; exit 1; fi
  grep -v -e '^\[SQL' -e '^(Background' "$work/said" | tail -n 3 | cut -c 1-400
}
staging() { DATABASE_URL=$STAGING_URL "$@"; }
production() { DATABASE_URL=$PRODUCTION_URL "$@"; }
approving() { PGWARDEN_MIGRATIONS__SIGNING_KEY=$work/approve.key "$@" -c "$work/staging.yaml"; }
by_hand() { psql --no-psqlrc "$PRODUCTION_URL" -c "$1"; }
# Past pgwarden, with the superuser's password: to look, to back up, and to play somebody who goes round it.
past() { psql --no-psqlrc --quiet --no-align --tuples-only "$@"; }
shop() { past "$PAST_PRODUCTION" -c "SELECT count(*) || ' customers, ' || sum(points) || ' points' FROM customers"; }
back_up() { pg_dump --format=custom --file=../backups/shop.dump "$PAST_PRODUCTION"; }

# --- two servers, two pgwardens ----------------------------------------------------------------------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/pgwarden-pipeline-XXXXXX")
mkfifo "$work/until"
step "staging and production start"
python -m proxy.demo.pair "$work" <"$work/until" 2>"$work/log" & pair=$!
exec 3>"$work/until" # the servers live as long as this is open
finish() { exec 3>&-; wait "$pair" || true; rm -rf "$work"; }
trap finish EXIT
trap 'exit 130' INT TERM HUP
until [ -e "$work/environment" ]; do
  kill -0 "$pair" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
  sleep 0.2
done
. "$work/environment"
PATH="$POSTGRES_PROGRAMS:$PATH"
cp -R deploy/ci/example "$work/example"
mv "$work/example/migrations/versions/0003_vouchers.py" "$work/" # that one comes later
cd "$work"
grep -A 20 '^migrations:' staging.yaml production.yaml

step "keys: one signs what staging records, another what people approve; both stay with staging"
show pgwarden migration keys new record.key --use record -c staging.yaml
show pgwarden migration keys new approve.key --use approve -c staging.yaml

# --- the pipeline ------------------------------------------------------------------------------------------------------------

cd example
step "1. check: what would production say to these files, and does a script destroy something?"
show pgwarden migration check migrations/versions --ask alembic --policy ../policy-production.yaml
show pgwarden migration scan .

step "production refuses them, as staging has not seen them"
refused production alembic upgrade head

step "2. deploy to staging, which records"
show staging alembic upgrade head
show pgwarden migration list -c ../staging.yaml

step "3. test staging"
test "$(past "$PAST_STAGING" -c 'SELECT sum(points) FROM customers')" = 50000 && echo "customers have their points"

step "4. approve: as somebody who did not deploy, with a key that no other step has"
for proof in $(pgwarden migration list --state recorded -c ../staging.yaml | awk '$2 == "recorded" { print $1 }'); do
  refused approving pgwarden migration approve "$proof" --by deploy --yes
  show approving pgwarden migration approve "$proof" --by grace --note "ran the tests" --yes
done

step "5. bring the proofs over"
show pgwarden migration export ../proofs.json -c ../staging.yaml
show pgwarden migration import ../proofs.json -c ../production.yaml

step "production has no backup of today, so nothing begins"
refused production alembic upgrade head

step "6. back up, and deploy to production"
show back_up
show production alembic upgrade head
shop

step "7. verify"
show pgwarden migration list -c ../production.yaml
show pgwarden migration drift shop -c ../production.yaml
show pgwarden migration verify -c ../production.yaml
show pgwarden audit verify "$AUDIT"

# --- and who goes round it ---------------------------------------------------------------------------------------------------

step "a migration is edited after it was proven"
cp ../0003_vouchers.py migrations/versions/
show staging alembic upgrade head
proof=$(pgwarden migration list --state recorded -c ../staging.yaml | awk '$2 == "recorded" { print $1 }')
approving pgwarden migration approve "$proof" --by grace --yes >/dev/null
pgwarden migration export ../more.json -c ../staging.yaml
pgwarden migration import ../more.json -c ../production.yaml
show sed -i.proven 's/ON vouchers (customer_id)/ON vouchers (points)/' migrations/versions/0003_vouchers.py
refused production alembic upgrade head

step "somebody has the deploy job's password and a terminal"
refused by_hand 'DROP TABLE orders CASCADE'
refused by_hand 'UPDATE customers SET points = 1000000'
refused production alembic downgrade base
shop

step "as it was proven, it runs"
mv migrations/versions/0003_vouchers.py.proven migrations/versions/0003_vouchers.py
show production alembic upgrade head

step "somebody changes production past pgwarden, with the superuser's password: it shows"
past "$PAST_PRODUCTION" -c 'CREATE INDEX points_by_hand ON customers (points)'
refused pgwarden migration drift shop -c ../production.yaml

printf '\nproven, deployed, and nothing else happened\n'
