# Active Record (Debian: ruby-activerecord, ruby-pg): reads, schema dump, migration status.
require 'active_record'
require 'pg'
require 'stringio'

puts "version #{ActiveRecord.version} on pg #{PG::VERSION}"
ActiveRecord::Base.establish_connection(ENV['DATABASE_URL'])

class Customer < ActiveRecord::Base
  has_many :orders
end

class Order < ActiveRecord::Base
  belongs_to :customer
  enum status: { fresh: 'new', paid: 'paid', shipped: 'shipped' }
end

Customer.find(1)
Customer.find_by(email: 'x@example.com')
Customer.where(country: %w[DE FR]).order(:name).limit(5).offset(2).to_a
Customer.where('email ILIKE ?', '%ada%').count
Customer.where("preferences->>'language' = :l", l: 'de').exists?
Customer.includes(:orders).limit(3).to_a
Customer.eager_load(:orders).where(orders: { note: nil }).limit(3).to_a
Customer.joins(:orders).group(:country).having('count(*) > 5').count
Customer.distinct.pluck(:country)
Customer.left_outer_joins(:orders).where(orders: { id: nil }).none?
Order.where(placed_at: 1.year.ago..).or(Order.paid).first
Order.maximum(:placed_at)
Order.average(:id)
Order.where(id: 1).explain
Order.find_each(batch_size: 2500) { |order| order.id }
Order.in_batches(of: 2500) { |orders| orders.pluck(:id) }
Order.find_by_sql(['SELECT * FROM orders WHERE id = ?', 1])
Order.transaction(isolation: :repeatable_read) { Order.transaction(requires_new: true) { Order.first.customer } }

connection = ActiveRecord::Base.connection
connection.select_all('SELECT count(*) FROM products')
connection.exec_query('SELECT name FROM products WHERE id = $1', 'SQL', [[nil, 1]])
connection.tables
connection.views
connection.data_sources
connection.schema_names
connection.extensions
connection.enum_types if connection.respond_to?(:enum_types)
connection.indexes('orders')
connection.foreign_keys('orders')
connection.check_constraints('products')
connection.primary_keys('order_items')
connection.pk_and_sequence_for('orders')
connection.table_comment('customers')
connection.index_name_exists?('orders', 'orders_customer_id_idx')
connection.table_exists?('warehouse.shelves')
connection.current_database
connection.current_schema
connection.encoding
connection.collation
connection.schema_search_path
connection.client_min_messages
connection.database_exists?('shop') if connection.respond_to?(:database_exists?)
ActiveRecord::SchemaDumper.dump(connection, StringIO.new)
ActiveRecord::MigrationContext.new('migrations', ActiveRecord::SchemaMigration).migrations_status
ActiveRecord::MigrationContext.new('migrations', ActiveRecord::SchemaMigration).needs_migration?
ActiveRecord::InternalMetadata[:environment]
connection.active?
connection.reset!
connection.disconnect!

plain = { prepared_statements: false, variables: { statement_timeout: '30s' }, schema_search_path: 'public,warehouse' }
ActiveRecord::Base.establish_connection({ url: ENV['DATABASE_URL'] }.merge(plain))
Customer.find(2)
Order.where(id: [1, 2]).to_a
