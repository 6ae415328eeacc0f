from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('roost', '0013_pre_done_requests'),
    ]

    operations = [
        migrations.AddField(
            model_name='worker',
            name='versions',
            field=models.JSONField(blank=True, db_default=models.Value({}, output_field=models.JSONField()), default=dict, verbose_name='versions'),
        ),
    ]
