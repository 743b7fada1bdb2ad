// Flyway: one command, named by the argument.

import org.flywaydb.core.Flyway;

public class FlywayCommand {
  public static void main(String[] arguments) throws Exception {
    if (arguments[0].equals("version")) {
      System.out.println(org.flywaydb.core.internal.license.VersionPrinter.getVersion());
      return;
    }
    Flyway flyway = Flyway.configure()
        .dataSource(Pgjdbc.url(), System.getenv("PGUSER"), System.getenv("PGPASSWORD"))
        .locations("filesystem:sql")
        .cleanDisabled(false)
        .load();
    switch (arguments[0]) {
      case "migrate" -> flyway.migrate();
      case "info" -> flyway.info().all();
      case "validate" -> flyway.validate();
      case "repair" -> flyway.repair();
      case "baseline" -> flyway.baseline();
      case "clean" -> flyway.clean();
      default -> throw new IllegalArgumentException(arguments[0]);
    }
  }
}
