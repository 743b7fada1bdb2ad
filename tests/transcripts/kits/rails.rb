# Active Record's database tasks (Debian: ruby-activerecord, ruby-pg), as `rails db:...` runs them.
require 'active_record'
require 'pg'
require 'uri'

task = ARGV[0]
if task == 'version'
  puts ActiveRecord.version
  exit
end

url = URI.parse(ENV['DATABASE_URL'])
hash = {
  adapter: 'postgresql', host: url.host, port: url.port, username: ENV['PGUSER'],
  password: ENV['PGPASSWORD'], database: ENV['PGDATABASE']
}
Tasks = ActiveRecord::Tasks::DatabaseTasks
Tasks.root = Dir.pwd
Tasks.env = 'production'
Tasks.db_dir = Dir.pwd
Tasks.migrations_paths = ['migrate']
Tasks.database_configuration = { 'production' => hash }
ActiveRecord::Base.configurations = { 'production' => hash }
ActiveRecord::Migrator.migrations_paths = ['migrate']
ENV['RAILS_ENV'] = 'production'
ENV['DISABLE_DATABASE_ENVIRONMENT_CHECK'] = '1'
ActiveRecord::Base.establish_connection(:production) unless %w[db:drop db:purge].include?(task)
ActiveRecord::Migration.verbose = false
config = ActiveRecord::Base.configurations.configs_for(env_name: 'production').first

case task
when 'db:migrate' then Tasks.migrate
when 'db:migrate:status' then ActiveRecord::Base.connection.migration_context.migrations_status
when 'db:rollback' then ActiveRecord::Base.connection.migration_context.rollback(1)
when 'db:truncate_all' then Tasks.truncate_all('production')
when 'db:schema:load'
  File.write('schema.rb', "ActiveRecord::Schema.define(version: 2) do\n  create_table 'notes', force: :cascade do |t|\n    t.text 'body'\n  end\nend\n")
  Tasks.load_schema(config, :ruby, 'schema.rb')
when 'db:purge' then Tasks.purge(config)
when 'db:drop' then Tasks.drop(config)
end
