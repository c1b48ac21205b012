import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;

/** What a client of JDBC does; ends with an error where it finds something else than it expects. */
public class Journey {
    public static void main(String[] arguments) throws SQLException {
        try (Connection connection = DriverManager.getConnection(arguments[0])) {
            values(connection);
            changes(connection);
            parameters(connection);
            session(connection);
            metadata(connection);
            errors(connection);
        }
        System.out.println("ok");
    }

    static void values(Connection connection) throws SQLException {
        String query = "SELECT 1 AS i, 'ß' AS s, CAST(1.25 AS DECIMAL(10, 2)) AS d, true AS b, DATE '2024-02-29' AS day,"
                + " TIMESTAMP_NTZ '2024-02-29 12:30:00' AS t, array(1, 2) AS a, CAST(NULL AS STRING) AS n";
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(query)) {
            expect(true, rows.next());
            expect(1, rows.getInt("i"));
            expect("ß", rows.getString("s"));
            expect("1.25", rows.getBigDecimal("d").toString());
            expect(true, rows.getBoolean("b"));
            expect("2024-02-29", rows.getDate("day").toString());
            expect("12:30:00", rows.getTimestamp("t").toLocalDateTime().toLocalTime() + ":00");
            expect(2, ((Object[]) rows.getArray("a").getArray()).length);
            expect(null, rows.getString("n"));
            expect(false, rows.next());
        }
        long sum = 0;
        try (Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery("SELECT id FROM range(500000)")) {
            while (rows.next()) {
                sum += rows.getLong(1);
            }
        }
        expect(124_999_750_000L, sum);
    }

    static void changes(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            expect(false, statement.execute("CREATE OR REPLACE TABLE jdbc_t (a INT, b STRING)"));
            expect(2, statement.executeUpdate("INSERT INTO jdbc_t VALUES (1, 'x'), (2, 'y')"));
            expect(1, statement.executeUpdate("DELETE FROM jdbc_t WHERE a = 1"));
            expect(true, statement.execute("SHOW TABLES"));
        }
    }

    static void parameters(Connection connection) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement("SELECT a, b FROM jdbc_t WHERE b = ?")) {
            statement.setString(1, "y");
            try (ResultSet rows = statement.executeQuery()) {
                expect(true, rows.next());
                expect(2, rows.getInt(1));
            }
        }
    }

    static void session(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute("CREATE SCHEMA IF NOT EXISTS jdbc_s");
            statement.execute("USE SCHEMA jdbc_s");
            try (ResultSet rows = statement.executeQuery("SELECT current_schema()")) {
                expect(true, rows.next());
                expect("jdbc_s", rows.getString(1));
            }
            statement.execute("USE SCHEMA default");
        }
    }

    static void metadata(Connection connection) throws SQLException {
        DatabaseMetaData about = connection.getMetaData();
        expect("Ingot", about.getDatabaseProductName());
        expect("`", about.getIdentifierQuoteString());
        expect(false, about.supportsTransactions());
        expect(true, texts(about.getCatalogs(), "TABLE_CAT").contains("main"));
        expect(true, texts(about.getSchemas("main", null), "TABLE_SCHEM").contains("default"));
        expect(List.of("jdbc_t"), texts(about.getTables("main", "default", "jdbc\\_t", null), "TABLE_NAME"));
        expect(List.of("a", "b"), texts(about.getColumns("main", "default", "jdbc\\_t", null), "COLUMN_NAME"));
        expect(List.of("TABLE", "VIEW"), texts(about.getTableTypes(), "TABLE_TYPE"));
        expect(List.of(), texts(about.getPrimaryKeys("main", "default", "jdbc_t"), "COLUMN_NAME"));
    }

    static void errors(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.executeQuery("SELECT * FROM nowhere");
        } catch (SQLException error) {
            expect(true, error.getMessage().contains("[TABLE_OR_VIEW_NOT_FOUND]"));
            return;
        }
        throw new AssertionError("a table that there is not has rows");
    }

    static List<String> texts(ResultSet rows, String column) throws SQLException {
        List<String> texts = new ArrayList<>();
        try (rows) {
            while (rows.next()) {
                texts.add(rows.getString(column));
            }
        }
        return texts;
    }

    static void expect(Object expected, Object found) {
        if (expected == null ? found != null : !expected.equals(found)) {
            throw new AssertionError("expected " + expected + ", found " + found);
        }
    }
}
