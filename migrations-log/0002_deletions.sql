ALTER TABLE `generations` ADD `deleted_at` integer;--> statement-breakpoint
ALTER TABLE `test_generations` ADD `deleted_at` integer;