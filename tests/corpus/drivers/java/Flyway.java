// Flyway: `info` and `validate`, which compare the history table with the files.

import java.nio.file.Files;
import java.nio.file.Path;

public class Flyway {
  public static void main(String[] arguments) throws Exception {
    Path folder = Files.createDirectory(Path.of("migrations"));
    Files.writeString(folder.resolve("V1__first.sql"), "SELECT 1;");
    Files.writeString(folder.resolve("V2__second.sql"), "SELECT 2;");
    org.flywaydb.core.Flyway flyway = org.flywaydb.core.Flyway.configure()
        .dataSource(Pgjdbc.url(), System.getenv("PGUSER"), System.getenv("PGPASSWORD"))
        .locations("filesystem:migrations")
        .load();
    System.out.println("version " + org.flywaydb.core.internal.license.VersionPrinter.getVersion());
    flyway.info().all();
    flyway.validateWithResult();
  }
}
