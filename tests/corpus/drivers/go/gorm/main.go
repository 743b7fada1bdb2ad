// GORM on pgx: finders, preloads, raw reads, and its migrator's look at the schema.
package main

import (
	"os"
	"time"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	corpus "pgwarden.invalid/corpus"
)

type Customer struct {
	ID      int64
	Name    string
	Email   string
	Country string
	Orders  []Order
}

type Order struct {
	ID         int64
	CustomerID int64
	Customer   Customer
	Status     string
	PlacedAt   time.Time
}

func main() {
	corpus.Print("gorm.io/gorm")
	for _, simple := range []bool{false, true} {
		db, err := gorm.Open(
			postgres.New(postgres.Config{DSN: os.Getenv("DATABASE_URL"), PreferSimpleProtocol: simple}),
			&gorm.Config{Logger: logger.Discard},
		)
		corpus.Must(err)
		read(db)
		look(db)
		pool, err := db.DB()
		corpus.Must(err)
		corpus.Must(pool.Close())
	}
}

func read(db *gorm.DB) {
	var customers []Customer
	var orders []Order
	var count int64
	corpus.Must(db.First(&Customer{}, 1).Error)
	corpus.Must(db.Where("email ILIKE ?", "%ada%").Order("id desc").Limit(5).Offset(1).Find(&customers).Error)
	corpus.Must(db.Preload("Orders").Limit(3).Find(&customers).Error)
	corpus.Must(db.Joins("Customer").Where("status = ?", "new").Limit(3).Find(&orders).Error)
	corpus.Must(db.Model(&Order{}).Where("id IN ?", []int{1, 2, 3}).Count(&count).Error)
	corpus.Must(db.Model(&Order{}).Select("status, count(*) AS n").Group("status").Having("count(*) > ?", 1).Find(&[]map[string]any{}).Error)
	corpus.Must(db.Where("EXISTS (?)", db.Model(&Order{}).Select("1").Where("orders.customer_id = customers.id")).Find(&customers).Error)
	corpus.Must(db.Model(&Customer{}).Distinct().Pluck("country", &[]string{}).Error)
	corpus.Must(db.Raw("SELECT name FROM products WHERE id = @id", map[string]any{"id": 1}).Scan(new(string)).Error)
	corpus.Must(db.FindInBatches(&orders, 2500, func(*gorm.DB, int) error { return nil }).Error)
	corpus.Must(db.Transaction(func(tx *gorm.DB) error {
		return tx.Transaction(func(inner *gorm.DB) error { return inner.Take(&Order{}).Error })
	}))
}

func look(db *gorm.DB) {
	migrator := db.Migrator()
	migrator.CurrentDatabase()
	tables, err := migrator.GetTables()
	corpus.Must(err)
	for _, table := range tables[:2] {
		migrator.HasTable(table)
	}
	migrator.HasColumn(&Order{}, "status")
	migrator.HasIndex(&Order{}, "orders_customer_id_idx")
	migrator.HasConstraint(&Order{}, "orders_customer_id_fkey")
	_, err = migrator.ColumnTypes(&Order{})
	corpus.Must(err)
}
