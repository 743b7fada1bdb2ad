<?php
// PDO of PHP (Debian: php-cli, php-pgsql): emulated and real prepared statements, cursors, COPY.
echo 'version ', PHP_VERSION, "\n";
$address = sprintf('pgsql:host=%s;port=%s;dbname=%s', getenv('PGHOST'), getenv('PGPORT'), getenv('PGDATABASE'));
foreach ([[], [PDO::ATTR_EMULATE_PREPARES => true], [PDO::PGSQL_ATTR_DISABLE_PREPARES => true]] as $options) {
    $pdo = new PDO($address, getenv('PGUSER'), getenv('PGPASSWORD'), $options);
    $pdo->query('SELECT count(*) FROM customers')->fetchAll();
    $named = $pdo->prepare('SELECT name FROM customers WHERE id = :id AND country <> :country');
    $named->execute(['id' => 1, 'country' => "O'Brien"]);
    $named->getColumnMeta(0);
    $placed = $pdo->prepare('SELECT name FROM products WHERE price > ?');
    $placed->execute([9]);
    $pdo->exec('SELECT 1; SELECT 2');
    $pdo->beginTransaction();
    $scroll = $pdo->prepare('SELECT id FROM orders', [PDO::ATTR_CURSOR => PDO::CURSOR_SCROLL]);
    $scroll->execute();
    $scroll->fetch(PDO::FETCH_ASSOC, PDO::FETCH_ORI_ABS, 10);
    $scroll->fetch(PDO::FETCH_ASSOC, PDO::FETCH_ORI_NEXT);
    $scroll = null;
    $pdo->commit();
    $pdo->beginTransaction();
    $pdo->rollBack();
    $pdo->pgsqlCopyToArray('customers');
    $pdo->getAttribute(PDO::ATTR_SERVER_INFO);
    $pdo = null;
}
