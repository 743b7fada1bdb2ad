<?php
// Doctrine DBAL (Debian: php-doctrine-dbal, php-pgsql): its query builder and its schema manager.
require 'Doctrine/DBAL/autoload.php';

use Doctrine\DBAL\Connection;
use Doctrine\DBAL\DriverManager;
use Doctrine\DBAL\TransactionIsolationLevel;

preg_match('/^[\d.]+/', shell_exec("dpkg-query -W -f '\${Version}' php-doctrine-dbal"), $found);
echo "version $found[0]\n";
$connection = DriverManager::getConnection([
    'driver' => 'pdo_pgsql', 'host' => getenv('PGHOST'), 'port' => getenv('PGPORT'),
    'user' => getenv('PGUSER'), 'password' => getenv('PGPASSWORD'), 'dbname' => getenv('PGDATABASE'),
]);
$connection->fetchAllAssociative('SELECT * FROM customers WHERE id IN (?)', [[1, 2]], [Connection::PARAM_INT_ARRAY]);
$connection->createQueryBuilder()->select('c.country', 'count(*)')->from('customers', 'c')
    ->innerJoin('c', 'orders', 'o', 'o.customer_id = c.id')->where('o.status = :status')->groupBy('c.country')
    ->setMaxResults(5)->setFirstResult(1)->setParameter('status', 'new')->fetchAllAssociative();
$connection->setTransactionIsolation(TransactionIsolationLevel::REPEATABLE_READ);
$connection->setNestTransactionsWithSavepoints(true);
$connection->transactional(fn ($outer) => $outer->transactional(fn ($inner) => $inner->fetchOne('SELECT 1')));
$manager = $connection->createSchemaManager();
$platform = $connection->getDatabasePlatform();
foreach (['order_status', 'address', 'inet', 'xml', 'interval', 'int4range', 'tsvector', '_int4', 'uuid'] as $type) {
    $platform->registerDoctrineTypeMapping($type, 'string');
}
$manager->listDatabases();
$manager->listSchemaNames();
$manager->listTableNames();
$manager->listSequences();
$manager->listViews();
foreach (['customers', 'orders'] as $table) {
    $manager->listTableColumns($table);
    $manager->listTableIndexes($table);
    $manager->listTableForeignKeys($table);
    $manager->listTableDetails($table);
}
$manager->tablesExist(['customers']);
