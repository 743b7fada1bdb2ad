// Liquibase: one command, named by the argument.

import java.io.ByteArrayOutputStream;
import java.util.logging.Level;
import java.util.logging.Logger;
import liquibase.command.CommandScope;
import liquibase.util.LiquibaseUtil;

public class LiquibaseCommand {
  public static void main(String[] arguments) throws Exception {
    if (arguments[0].equals("version")) {
      System.out.println(LiquibaseUtil.getBuildVersion());
      return;
    }
    System.setProperty("liquibase.analytics.enabled", "false");
    Logger.getLogger("liquibase").setLevel(Level.OFF);
    CommandScope scope = new CommandScope(arguments[0])
        .addArgumentValue("url", Pgjdbc.url())
        .addArgumentValue("username", System.getenv("PGUSER"))
        .addArgumentValue("password", System.getenv("PGPASSWORD"));
    if (!arguments[0].equals("dropAll") && !arguments[0].equals("clearChecksums")) {
      scope.addArgumentValue("changelogFile", "changes.sql");
    }
    if (arguments[0].equals("rollbackCount")) {
      scope.addArgumentValue("count", 1);
    }
    scope.setOutput(new ByteArrayOutputStream());
    scope.execute();
  }
}
