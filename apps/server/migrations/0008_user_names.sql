ALTER TABLE "users" ADD COLUMN "name_key" text;--> statement-breakpoint
CREATE UNIQUE INDEX "users_name" ON "users" USING btree ("tenant","name_key");