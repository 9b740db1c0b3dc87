CREATE TABLE `test_generations` (
	`user_id` text NOT NULL,
	`id` text NOT NULL,
	`status` text NOT NULL,
	`model` text NOT NULL,
	`created_at` integer NOT NULL,
	`ended_at` integer NOT NULL,
	`credits_charged` integer NOT NULL,
	`credits_refunded` integer NOT NULL,
	`request` text NOT NULL,
	`error` text,
	`images` text NOT NULL,
	PRIMARY KEY(`user_id`, `id`)
) WITHOUT ROWID;
