//! What every log promises, checked on both: the one in memory and Kafka.
//!
//! A property is a function of a [`World`](log::World); this file lists them, once, and runs each in both worlds.

mod log;

macro_rules! on_both {
    ($($module:ident: $($property:ident),+;)+) => {
        mod memory {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                super::log::$module::$property(super::log::InMemory::default()).await;
            })+)+
        }
        mod kafka {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                super::log::$module::$property(super::log::OnKafka::create().await).await;
            })+)+
        }
    };
}

on_both! {
    records:
        what_is_appended_is_read_the_same,
        records_of_a_key_keep_their_order,
        a_key_has_the_partition_that_murmur2_gives_it,
        end_offsets_are_one_after_the_last_record,
        an_append_answers_once_for_each_record,
        large_records_that_are_appended_together_arrive,
        what_is_not_wanted_is_told_by_its_place_alone;
    groups:
        a_new_group_starts_at_the_beginning,
        stored_offsets_survive_the_member,
        what_was_not_stored_is_read_again,
        an_offset_of_nobody_is_nothing_committed,
        anybody_may_ask_how_far_a_group_has_read_whoever_of_it_reads_what,
        members_share_the_partitions_and_miss_nothing,
        a_member_that_must_share_is_told_what_it_loses,
        the_partitions_of_a_member_that_left_go_to_the_others,
        the_offset_of_a_partition_that_is_lost_cannot_be_stored,
        groups_do_not_see_each_other,
        a_paused_member_stays_and_reads_nothing,
        waiting_ends_when_a_record_comes;
}
