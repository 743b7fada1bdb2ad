// jOOQ: its code generator reading the whole catalog, and queries of its DSL.

import java.sql.DriverManager;
import org.jooq.Constants;
import org.jooq.DSLContext;
import org.jooq.SQLDialect;
import org.jooq.codegen.GenerationTool;
import org.jooq.impl.DSL;
import org.jooq.meta.jaxb.Configuration;
import org.jooq.meta.jaxb.Database;
import org.jooq.meta.jaxb.Generator;
import org.jooq.meta.jaxb.Jdbc;
import org.jooq.meta.jaxb.Logging;
import org.jooq.meta.jaxb.Target;

public class Jooq {
  public static void main(String[] arguments) throws Exception {
    System.out.println("version " + Constants.FULL_VERSION);
    System.setProperty("org.jooq.no-logo", "true");
    System.setProperty("org.jooq.no-tips", "true");
    GenerationTool.generate(new Configuration()
        .withLogging(Logging.ERROR)
        .withJdbc(new Jdbc().withDriver("org.postgresql.Driver").withUrl(Pgjdbc.url())
            .withUser(System.getenv("PGUSER")).withPassword(System.getenv("PGPASSWORD")))
        .withGenerator(new Generator()
            .withDatabase(new Database().withIncludes(".*").withExcludes("pg_catalog.*|information_schema.*")
                .withIncludeTriggerRoutines(true).withIncludeSystemSequences(true))
            .withTarget(new Target().withPackageName("shop").withDirectory("generated"))));
    try (var connection = DriverManager.getConnection(Pgjdbc.url(), Pgjdbc.login())) {
      DSLContext dsl = DSL.using(connection, SQLDialect.POSTGRES);
      dsl.selectFrom("customers").where("id = ?", 1).fetch();
      dsl.select(DSL.field("status"), DSL.count()).from("orders").groupBy(DSL.field("status")).fetch();
      dsl.fetchCount(DSL.table("orders"));
      dsl.fetchExists(DSL.table("orders"));
      dsl.meta().getSchemas();
      dsl.transaction(inner -> inner.dsl().fetchCount(DSL.table("customers")));
    }
  }
}
