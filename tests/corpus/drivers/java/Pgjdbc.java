// pgjdbc: DatabaseMetaData as SQL clients ask it, statements of each kind, paging, COPY, a pool.

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.OutputStream;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Types;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.jdbc.PreferQueryMode;
import org.postgresql.util.DriverInfo;

public class Pgjdbc {
  static String url() {
    return "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/"
        + System.getenv("PGDATABASE");
  }

  static Properties login() {
    Properties properties = new Properties();
    properties.setProperty("user", System.getenv("PGUSER"));
    properties.setProperty("password", System.getenv("PGPASSWORD"));
    return properties;
  }

  public static void main(String[] arguments) throws Exception {
    System.out.println("version " + DriverInfo.DRIVER_VERSION);
    try (Connection connection = DriverManager.getConnection(url(), login())) {
      describe(connection.getMetaData());
      read(connection);
      transactions(connection);
      connection.isValid(2);
    }
    Properties other = login();
    other.setProperty("readOnly", "true");
    other.setProperty("readOnlyMode", "always");
    other.setProperty("ApplicationName", "report");
    other.setProperty("currentSchema", "warehouse,public");
    other.setProperty("options", "-c statement_timeout=30s");
    other.setProperty("preferQueryMode", "simple");
    other.setProperty("assumeMinServerVersion", "9.0");
    try (Connection connection = DriverManager.getConnection(url(), other)) {
      read(connection);
      connection.setSchema("public");
      connection.setCatalog("shop");
      connection.getSchema();
    }
    pool();
  }

  static void drain(ResultSet rows) throws Exception {
    while (rows.next()) {
      rows.getObject(1);
    }
    rows.close();
  }

  static void describe(DatabaseMetaData meta) throws Exception {
    drain(meta.getCatalogs());
    drain(meta.getSchemas());
    drain(meta.getSchemas(null, "ware%"));
    drain(meta.getTableTypes());
    drain(meta.getTables(null, null, "%", null));
    drain(meta.getTables(null, "public", "o%", new String[] {"TABLE", "VIEW", "MATERIALIZED VIEW"}));
    for (String table : new String[] {"orders", "order_items"}) {
      drain(meta.getColumns(null, "public", table, "%"));
      drain(meta.getPrimaryKeys(null, "public", table));
      drain(meta.getImportedKeys(null, "public", table));
      drain(meta.getExportedKeys(null, "public", table));
      drain(meta.getIndexInfo(null, "public", table, false, true));
      drain(meta.getTablePrivileges(null, "public", table));
      drain(meta.getColumnPrivileges(null, "public", table, "%"));
      drain(meta.getBestRowIdentifier(null, "public", table, DatabaseMetaData.bestRowSession, true));
      drain(meta.getVersionColumns(null, "public", table));
    }
    drain(meta.getCrossReference(null, "public", "orders", null, "public", "order_items"));
    drain(meta.getColumns(null, "warehouse", "%", "%"));
    drain(meta.getTypeInfo());
    drain(meta.getUDTs(null, "public", "%", null));
    drain(meta.getProcedures(null, null, "%"));
    drain(meta.getProcedureColumns(null, "public", "%", "%"));
    drain(meta.getFunctions(null, "public", "%"));
    drain(meta.getFunctionColumns(null, "public", "%", "%"));
    drain(meta.getClientInfoProperties());
    meta.getMaxTableNameLength();
    meta.getMaxColumnNameLength();
    meta.getDatabaseProductVersion();
    meta.getSQLKeywords();
    meta.getDefaultTransactionIsolation();
  }

  static void read(Connection connection) throws Exception {
    boolean isExtended = connection.unwrap(PGConnection.class).getPreferQueryMode() != PreferQueryMode.SIMPLE;
    try (Statement statement = connection.createStatement()) {
      drain(statement.executeQuery("SELECT count(*) FROM customers"));
      statement.execute("SELECT 1; SELECT 2");
      statement.execute("SET TIME ZONE 'UTC'");
      drain(statement.executeQuery("SELECT status, place, tags FROM orders, warehouse.shelves, products LIMIT 2"));
    }
    String byId = "SELECT name, preferences, created_at FROM customers WHERE id = ?";
    try (PreparedStatement prepared = connection.prepareStatement(byId)) {
      if (isExtended) {
        prepared.getMetaData();
        prepared.getParameterMetaData();
      }
      for (long id = 1; id < 8; id++) { // the sixth time it becomes a named statement
        prepared.setLong(1, id);
        ResultSet rows = prepared.executeQuery();
        rows.getMetaData().getColumnTypeName(2);
        rows.getMetaData().isAutoIncrement(1);
        drain(rows);
      }
    }
    try (PreparedStatement prepared =
        connection.prepareStatement("SELECT id FROM orders WHERE id = ANY (?) AND placed_at > ? AND note IS NOT DISTINCT FROM ?")) {
      prepared.setArray(1, connection.createArrayOf("bigint", new Long[] {1L, 2L}));
      prepared.setObject(2, java.time.OffsetDateTime.now());
      prepared.setNull(3, Types.VARCHAR);
      drain(prepared.executeQuery());
    }
    if (isExtended) {
      call(connection);
    }
    connection.unwrap(PGConnection.class).getCopyAPI()
        .copyOut("COPY (SELECT id, name FROM customers) TO STDOUT CSV", OutputStream.nullOutputStream());
  }

  static void call(Connection connection) throws Exception {
    try (var call = connection.prepareCall("{ ? = call lower(?) }")) {
      call.registerOutParameter(1, Types.VARCHAR);
      call.setString(2, "X");
      call.execute();
    }
  }

  static void transactions(Connection connection) throws Exception {
    connection.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
    connection.getTransactionIsolation();
    connection.setReadOnly(true);
    connection.setAutoCommit(false);
    try (Statement statement = connection.createStatement()) {
      statement.setFetchSize(100);
      statement.setQueryTimeout(30);
      drain(statement.executeQuery("SELECT id FROM orders"));
    }
    Savepoint savepoint = connection.setSavepoint("here");
    connection.rollback(savepoint);
    connection.releaseSavepoint(connection.setSavepoint());
    connection.commit();
    connection.rollback();
    connection.setAutoCommit(true);
    connection.setNetworkTimeout(Runnable::run, 30000);
  }

  static void pool() throws Exception {
    HikariConfig config = new HikariConfig();
    config.setJdbcUrl(url());
    config.setUsername(System.getenv("PGUSER"));
    config.setPassword(System.getenv("PGPASSWORD"));
    config.setMaximumPoolSize(1);
    config.setReadOnly(true);
    config.setConnectionInitSql("SELECT 1");
    try (HikariDataSource pool = new HikariDataSource(config)) {
      for (int time = 0; time < 2; time++) {
        try (Connection connection = pool.getConnection()) {
          read(connection);
          connection.setAutoCommit(false);
          connection.setReadOnly(true);
        }
      }
    }
  }
}
