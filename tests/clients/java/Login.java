// Logins over TLS by pgjdbc; prints for each "ok", or the error, in a line.
// On standard input lines of property=value; an empty line ends each login.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Properties;

public class Login {
  public static void main(String[] arguments) throws Exception {
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    Properties properties = new Properties();
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      if (line.isEmpty()) {
        System.out.println(logIn(properties).replace('\n', ' '));
        properties = new Properties();
      } else {
        String[] parts = line.split("=", 2);
        properties.setProperty(parts[0], parts[1]);
      }
    }
  }

  private static String logIn(Properties properties) {
    String url = properties.remove("url").toString();
    try (Connection connection = DriverManager.getConnection(url, properties);
        ResultSet rows = connection.createStatement().executeQuery("SELECT 1")) {
      rows.next();
      return rows.getInt(1) == 1 ? "ok" : "what is this?";
    } catch (SQLException error) {
      Throwable cause = error.getCause();
      return error.getMessage() + (cause == null ? "" : " " + cause.getMessage());
    }
  }
}
