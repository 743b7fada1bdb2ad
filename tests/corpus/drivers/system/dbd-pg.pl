# DBI with DBD::Pg (Debian: libdbd-pg-perl): reads, placeholders, its catalog methods, COPY.
use strict;
use warnings;
use DBI;
use DBD::Pg;

print "version ", DBD::Pg->VERSION, "\n";
my $db = DBI->connect("dbi:Pg:dbname=$ENV{PGDATABASE};host=$ENV{PGHOST};port=$ENV{PGPORT};sslmode=disable",
    $ENV{PGUSER}, $ENV{PGPASSWORD}, { RaiseError => 1, PrintError => 0 });
$db->selectall_arrayref('SELECT count(*) FROM customers');
$db->selectall_arrayref('SELECT name FROM customers WHERE id = ? AND country = ?', undef, 1, 'DE');
my $prepared = $db->prepare('SELECT name FROM products WHERE id = $1');
for my $id (1 .. 3) { $prepared->execute($id); $prepared->fetchall_arrayref }
my $plain = $db->prepare('SELECT name FROM products WHERE id = ?', { pg_server_prepare => 0 });
$plain->execute(1);
$plain->finish;
$db->ping;
$db->pg_savepoint('here');
$db->pg_rollback_to('here');
$db->pg_release('here');
$db->commit if !$db->{AutoCommit};
$db->begin_work;
$db->selectall_arrayref('SELECT 1');
$db->pg_savepoint('there');
$db->pg_rollback_to('there');
$db->pg_release('there');
$db->rollback;
for my $rows (
    $db->table_info('', 'public', '%', 'TABLE,VIEW'),
    $db->table_info('', '%', '', ''),
    $db->column_info('', 'public', 'orders', '%'),
    $db->primary_key_info('', 'public', 'orders'),
    $db->foreign_key_info('', 'public', 'customers', '', 'public', 'orders'),
    $db->statistics_info('', 'public', 'orders', 0, 0),

  )
{
    $rows->fetchall_arrayref if ref $rows && $rows->can('fetchall_arrayref');
}
$db->tables('', 'public', '', '');
$db->do('COPY (SELECT id, name FROM customers) TO STDOUT');
my $line;
1 while $db->pg_getcopydata($line) >= 0;
$db->disconnect;
