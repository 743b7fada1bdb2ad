// Liquibase: `status`, `history`, and a snapshot of the schema as generate-changelog takes it.

import java.io.ByteArrayOutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.logging.Level;
import java.util.logging.Logger;
import liquibase.command.CommandScope;
import liquibase.util.LiquibaseUtil;

public class Liquibase {
  public static void main(String[] arguments) throws Exception {
    System.out.println("version " + LiquibaseUtil.getBuildVersion());
    System.setProperty("liquibase.analytics.enabled", "false");
    Logger.getLogger("liquibase").setLevel(Level.OFF);
    Files.writeString(Path.of("changes.sql"), "--liquibase formatted sql\n--changeset x:1\nSELECT 1;\n");
    run("status", true);
    run("history", false);
    run("snapshot", false);
  }

  static void run(String command, boolean withFile) throws Exception {
    CommandScope scope = new CommandScope(command)
        .addArgumentValue("url", Pgjdbc.url())
        .addArgumentValue("username", System.getenv("PGUSER"))
        .addArgumentValue("password", System.getenv("PGPASSWORD"));
    if (withFile) {
      scope.addArgumentValue("changelogFile", "changes.sql");
    }
    scope.setOutput(new ByteArrayOutputStream());
    scope.execute();
  }
}
