from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('roost', '0012_pre_api_tokens'),
    ]

    operations = [
        migrations.CreateModel(
            name='DoneRequest',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('key', models.CharField(max_length=64, unique=True, verbose_name='SHA-256 of who asked under which key')),
                ('asked', models.CharField(max_length=64, verbose_name='SHA-256 of what was asked')),
                ('about', models.JSONField(blank=True, null=True, verbose_name='about')),
                ('done_at', models.DateTimeField(db_index=True, verbose_name='done at')),
            ],
            options={
                'verbose_name': 'done request',
                'verbose_name_plural': 'done requests',
                'db_table': 'roost_done_request',
                'default_permissions': (),
            },
        ),
        migrations.AlterModelOptions(
            name='artifact',
            options={'ordering': ['-id'], 'permissions': [('upload_artifact', 'Can upload artifacts to work items')], 'verbose_name': 'artifact', 'verbose_name_plural': 'artifacts'},
        ),
        migrations.AlterField(
            model_name='event',
            name='kind',
            field=models.CharField(choices=[('enqueued', 'enqueued'), ('claimed', 'claimed by a worker'), ('step', 'step committed'), ('waited', 'step asked to be run again later'), ('retry', 'step failed, retry scheduled'), ('released', 'released by its worker'), ('recovered', 'recovered from a lost worker'), ('parked', 'parked until a resource is free'), ('woken', 'woken'), ('done', 'done'), ('failed', 'failed'), ('cancelled', 'cancelled'), ('paused', 'paused'), ('resumed', 'resumed'), ('requeued', 'requeued'), ('redriven', 'redriven'), ('acknowledged', 'acknowledged'), ('priority', 'priority changed'), ('forked', 'forked'), ('imported', 'imported'), ('held', 'held back: this code does not go on with it'), ('artifact', 'artifact stored'), ('child', 'child spawned'), ('log', 'log line of the step'), ('progress', 'progress reported'), ('resource_released', 'resource claim released'), ('asked', 'asks and waits'), ('answered', 'answered'), ('approved', 'approved'), ('rejected', 'rejected'), ('signalled', 'signal received'), ('expired', 'nobody answered in time'), ('child_ended', 'child ended'), ('replayed', 'recorded call replayed'), ('call_retry', 'call failed, tried again'), ('call_failed', 'call failed'), ('in_doubt', 'call in doubt'), ('journal_reset', 'recorded call forgotten'), ('followed_up', 'reopened with new input'), ('trigger_failed', 'trigger could not fire'), ('notified', 'delivery to a webhook enqueued'), ('notify_failed', 'delivery to a webhook could not be enqueued'), ('legal_hold', 'put on legal hold'), ('legal_hold_lifted', 'taken off legal hold'), ('uploaded', 'file uploaded')], max_length=30, verbose_name='kind'),
        ),
    ]
