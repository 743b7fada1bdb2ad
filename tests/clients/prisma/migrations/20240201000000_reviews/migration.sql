-- Adds, fills and alters, and loses nothing.
CREATE TYPE "review_state" AS ENUM ('draft', 'published');

-- CreateTable
CREATE TABLE "reviews" (
    "id" SERIAL NOT NULL,
    "product_id" BIGINT NOT NULL,
    "stars" SMALLINT NOT NULL,
    "text" TEXT,
    "state" "review_state" NOT NULL DEFAULT 'draft',
    "written_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "reviews_pkey" PRIMARY KEY ("id")
);

-- AlterTable
ALTER TABLE "customers" ADD COLUMN "phone" TEXT,
ADD COLUMN "locale" TEXT NOT NULL DEFAULT 'en';

-- AlterEnum
ALTER TYPE "review_state" ADD VALUE 'hidden';

-- CreateIndex
CREATE INDEX "reviews_product_id_written_at_idx" ON "reviews"("product_id", "written_at" DESC);

-- AddForeignKey
ALTER TABLE "reviews" ADD CONSTRAINT "reviews_product_id_fkey" FOREIGN KEY ("product_id") REFERENCES "products"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- Fill
UPDATE "customers" SET "locale" = 'de' WHERE "country" = 'DE';
INSERT INTO "reviews" ("product_id", "stars", "text") SELECT "id", 5, 'welcome' FROM "products" WHERE "id" < 4;
