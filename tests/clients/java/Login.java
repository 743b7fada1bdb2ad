// One login over TLS by pgjdbc; prints "ok", or the error. Each argument is property=value.

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Properties;

public class Login {
  public static void main(String[] arguments) throws Exception {
    Properties properties = new Properties();
    for (String argument : arguments) {
      String[] parts = argument.split("=", 2);
      properties.setProperty(parts[0], parts[1]);
    }
    String url = properties.remove("url").toString();
    try (Connection connection = DriverManager.getConnection(url, properties);
        ResultSet rows = connection.createStatement().executeQuery("SELECT 1")) {
      rows.next();
      System.out.println(rows.getInt(1) == 1 ? "ok" : "what is this?");
    } catch (SQLException error) {
      Throwable cause = error.getCause();
      String more = cause == null ? "" : " " + cause.getMessage();
      System.out.println((error.getMessage() + more).replace('\n', ' '));
    }
  }
}
